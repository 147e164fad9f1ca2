package hub

// read answers a call with what nodes share of a room, and reports false when they share nothing. have is called with
// the room's lock held, and what it returns without.
func (r *relay) read(room string, q RoomQuery, have func(in *Room, view *RoomView) (answer func() error)) bool {
	ns := r.s.ns
	if ns.hub.shared == nil {
		return false
	}
	d := ns.hold(room)
	read := &sharedRead{h: ns.hub, namespace: ns.name, room: room, query: q}
	r.start = read.start
	r.then = func() error {
		d.room.mu.Lock()
		answer := have(d.room, read.view.Load())
		over := d.releaseLocked()
		d.room.mu.Unlock()
		ns.drop(over)
		return answer()
	}
	return true
}

// publishOnce publishes what has an id of its publisher's in the greenlet: other nodes may have to be asked.
func (r *relay) publishOnce(ev *Event, p Publication) {
	var id string
	var err error
	r.start = func(over func()) {
		id, err = r.s.ns.hub.Publish(p) // parks
		over()
	}
	r.then = func() error { return published(ev, id, err) }
}

// joining is a join on its way.
type joining struct {
	r                  *relay
	ev                 *Event
	room               string
	history            int // publications that are wanted
	presence, retained bool

	messages []*Message
	members  []*Sender
	count    int
	kept     *Message
}

// waits reports whether the join follows once other nodes were asked: for what the room has, or to send what comes.
func (j *joining) waits() bool {
	h := j.r.s.ns.hub
	asks := h.rooms != nil && !j.r.s.In(j.room)
	shared := h.shared != nil && (j.history > 0 || j.presence || j.retained)
	if !asks && !shared {
		return false
	}
	var query RoomQuery
	if shared {
		query.Retained = j.retained
		if j.history > 0 {
			query.History = min(j.history, max(0, h.opts.HistoryMessages))
		}
		if j.presence {
			query.Members = j.r.opts.MaxMembers
		}
	}
	ns := j.r.s.ns
	d := ns.hold(j.room)
	read := &sharedRead{h: h, namespace: ns.name, room: j.room, query: query}
	j.r.start = read.start
	j.r.then = func() error { return j.enter(d, read.view.Load()) }
	return true
}

// enter makes the session a member, in one moment with what it is told of the room: what comes later comes as a
// message.
func (j *joining) enter(d *hold, view *RoomView) error {
	s := j.r.s
	if !s.Connected() {
		d.release()
		return ErrGone
	}
	heard := s.hearsPrefixOf(j.room)
	first := j.presence && s.ns.watchers(j.room) <= 1
	in, joined := s.lockedIn(j.room) // it is d.room, which is held
	in.presentLocked(s, j.r.who)
	if j.presence {
		j.members, j.count = in.presentMembersLocked(view, j.r.opts.MaxMembers)
		if first {
			in.watchedLocked(view)
		}
	}
	if j.retained {
		j.kept = in.retainedSharedLocked(view)
	}
	if j.history > 0 {
		j.messages, _ = in.historyLocked(view, "", j.history)
		j.messages = j.fitting()
	}
	if view != nil && joined && !heard { // who hears the room already gets all messages, whatever it has asked for
		in.giveLocked(s, view.Last)
	}
	over := d.releaseLocked()
	in.mu.Unlock()
	s.ns.drop(over)
	s.tellJoined(j.room, joined)
	return j.answer()
}

// retainedSharedLocked is the room's retained publication: what nodes have kept, unless one has come that was kept
// later. The room's lock is held.
func (r *Room) retainedSharedLocked(view *RoomView) *Message {
	h := r.ns.hub
	own := h.retained.lockedGet(h, r.ns.name, r.name)
	if view == nil {
		return own
	}
	shared := r.ns.messageOf(r.name, view.Retained)
	if own == nil {
		return shared
	}
	if epoch, seq := own.origin(h); own.alone && !newer(shared, own) || !own.alone && seq > view.Last[epoch] {
		return own
	}
	return shared
}

// fitting are the publications whose binary values fit into the answer.
func (j *joining) fitting() []*Message {
	most := maxBinary
	if j.kept != nil {
		most -= len(j.kept.Payload.Attachments)
	}
	return fitting(j.messages, true, most)
}

func (j *joining) answer() error {
	answer := map[string]any{"ok": true}
	if j.presence {
		answer["members"], answer["count"] = j.members, j.count
	}
	if j.kept != nil {
		e, err := entry(j.kept)
		if err != nil {
			return refusal("internal", "the room's retained message cannot be read")
		}
		answer["retained"] = e.object()
	}
	if j.history > 0 {
		list, err := objects(j.fitting())
		if err != nil {
			return err
		}
		answer["messages"] = list
	}
	return j.ev.Ack(answer)
}
