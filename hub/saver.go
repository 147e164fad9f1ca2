package hub

import (
	"slices"
	"time"

	"greenroom/coop"
)

const (
	// saveDelay gathers the changes of a session's rooms and data.
	saveDelay = 200 * time.Millisecond
	// saveMost bounds what one loop saves at once; the rest has another delay.
	saveMost = 1000
)

// saver has the sessions of a loop saved for other nodes, because a node that is killed cannot do so any more. That loop's
// own.
type saver struct {
	list       []*Session // that have changed
	armed      bool       // a timer will save them
	refreshing bool       // a timer will look for those that were saved long ago
}

// changed has the session saved soon. On its loop; locks may be held.
func (s *Session) changed() {
	if !s.Connected() {
		return // the ticket may be another's
	}
	t := s.ticket
	if t == nil || t.token == "" || t.unsaved || !s.accepted {
		return
	}
	t.unsaved = true
	rec := s.ns.recovery
	sv := &rec.savers[s.loop.ID()]
	sv.list = append(sv.list, s)
	rec.arm(s.loop)
}

func (rec *recovery) arm(l *coop.Loop) {
	if sv := &rec.savers[l.ID()]; !sv.armed {
		sv.armed = true
		l.AfterFunc(saveDelay, func() { rec.saveChanged(l) })
	}
}

// saveChanged saves what has changed on a loop.
func (rec *recovery) saveChanged(l *coop.Loop) {
	sv := &rec.savers[l.ID()]
	sv.armed = false
	now := sv.list
	if len(now) > saveMost {
		now, sv.list = now[:saveMost:saveMost], slices.Clone(now[saveMost:])
		rec.arm(l)
	} else {
		sv.list = nil
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, s := range now {
		if t := s.ticket; t.unsaved && t.session == s && s.Connected() && rec.tickets[t.pid] == t {
			rec.saveLive(s, false)
		}
	}
}

// refresh has those sessions saved whose time would run out.
func (rec *recovery) refresh(l *coop.Loop) {
	sv := &rec.savers[l.ID()]
	if sv.refreshing {
		return
	}
	sv.refreshing = true
	l.AfterFunc(rec.opts.MaxDisconnection/8, func() {
		sv.refreshing = false
		members := rec.ns.all.shards[l.ID()].members
		for i := range members {
			if s := members[i].session; l.Now()-s.ticket.saved > rec.opts.MaxDisconnection/3 {
				s.changed()
			}
		}
		if len(members) > 0 {
			rec.refresh(l)
		}
	})
}

// saveAll saves all sessions anew: what was kept of them is lost. mu is held.
func (rec *recovery) saveAll() {
	for e := rec.away.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*ticket); t.token != "" && !t.held {
			rec.saveAway(t, true)
		}
	}
	for _, l := range rec.ns.hub.loops.All() {
		l.Post(func() {
			for _, m := range rec.ns.all.shards[l.ID()].members {
				m.session.ticket.renew = true
				m.session.changed()
			}
		})
	}
}

// saveLive saves a session whose client is there. On its loop, mu held.
func (rec *recovery) saveLive(s *Session, anew bool) {
	t := s.ticket
	if anew || t.renew {
		rec.turn++
		anew, t.renew, t.held, t.turn = true, false, false, rec.turn
	}
	t.unsaved, t.saved = false, s.loop.Now()
	t.encoded = rec.encode(s.Data)
	st := rec.state(t, anew)
	st.Live, st.For = true, rec.opts.MaxDisconnection*3/2
	for i := range s.rooms {
		if name := s.rooms[i].room.name; name != "" {
			st.Rooms = append(st.Rooms, name)
		}
	}
	rec.note(t, s.loop)
	if t.quiet {
		st.Last = t.lastAt.String()
	}
	st.Upto = t.uptoAt
	rec.shared.Save(st)
	rec.refresh(s.loop)
}

// note notes how far a session is, and whether it was given all that was for it until then. On its loop l, mu held.
func (rec *recovery) note(t *ticket, l *coop.Loop) {
	t.uptoAt = rec.ns.hub.order.upto()
	t.quiet = t.lastAt != (Offset{}) && rec.done[l.ID()] == rec.posted[l.ID()]
}

// moved saves a session that is away and has entered or left a room. mu is held.
func (rec *recovery) moved(t *ticket) {
	if rec.shared != nil {
		t.uptoAt, t.quiet = rec.ns.hub.order.upto(), false
		rec.save(t)
	}
}

// saveAway saves a session whose client is not there. mu is held.
func (rec *recovery) saveAway(t *ticket, anew bool) {
	st := rec.state(t, anew)
	st.For = max(time.Second, rec.opts.MaxDisconnection-rec.ns.hub.now().Sub(t.left))
	for name := range t.since {
		if name != "" {
			st.Rooms = append(st.Rooms, name)
		}
	}
	slices.Sort(st.Rooms[1:])
	if t.quiet {
		st.Last = t.lastAt.String()
	}
	st.Upto = t.uptoAt
	rec.shared.Save(st)
}

func (rec *recovery) state(t *ticket, anew bool) *SavedSession {
	return &SavedSession{
		ID: t.sid, RecoveryID: t.pid, Token: t.token, Namespace: rec.ns.name, New: anew, Data: t.encoded, Rooms: []string{t.sid},
	}
}

// save saves what has changed for a session that is away. mu is held.
func (rec *recovery) save(t *ticket) {
	switch {
	case rec.shared == nil || t.token == "":
	case !t.held:
		rec.saveAway(t, false)
	case len(t.waiting) == 0 && !t.claimed: // whoever has claimed it did not get it in the end
		t.held = false
		rec.saveAway(t, true)
	}
}
