package adminui

import (
	"time"

	"greenroom/hub"
)

// watcher is told what happens in the hub and passes it on to administrators.
func (a *Admin) watcher() hub.Observer {
	return hub.Observer{
		Connected: a.connected, Disconnected: a.disconnected, Updated: a.updated,
		Joined: a.roomEvent("room_joined"), Left: a.roomEvent("room_left"),
		Received: func(s *hub.Session, ev *hub.Event) { a.shown(s, "event_received", ev.Payload()) },
		Sent:     func(s *hub.Session, m *hub.Message) { a.shown(s, "event_sent", m.Payload) },
	}
}

// foreign reports whether a session is none of an administrator's.
func (a *Admin) foreign(s *hub.Session) bool { return s.Namespace() != a.opts.Namespace }

func (a *Admin) connected(s *hub.Session) {
	if !a.foreign(s) {
		return
	}
	a.crowd(s).add(s)
	if !a.heard() {
		return
	}
	now := date(time.Now())
	a.tell("room_joined", s.Namespace(), s.ID(), s.ID(), now)
	a.tell("socket_connected", describe(s.Snapshot(), dataJSON(s.Data)), now)
}

func (a *Admin) disconnected(s *hub.Session) {
	if !a.foreign(s) {
		return
	}
	a.crowd(s).remove(s)
	if !a.heard() {
		return
	}
	now := date(time.Now())
	a.tell("socket_disconnected", s.Namespace(), s.ID(), s.Reason(), now)
	a.tell("room_left", s.Namespace(), s.ID(), s.ID(), now)
}

func (a *Admin) updated(s *hub.Session) {
	if !a.foreign(s) {
		return
	}
	a.crowd(s).changes++
	if !a.heard() {
		return
	}
	snap := s.Snapshot()
	a.tell("socket_updated", update{ID: snap.ID, Nsp: snap.Namespace, Transport: snap.Transport, Data: dataJSON(s.Data)})
}

func (a *Admin) roomEvent(event string) func(*hub.Session, string) {
	return func(s *hub.Session, room string) {
		if !a.foreign(s) {
			return
		}
		a.crowd(s).changes++
		if a.heard() {
			a.tell(event, s.Namespace(), room, s.ID(), date(time.Now()))
		}
	}
}

// shown shows an event, unless there are too many.
func (a *Admin) shown(s *hub.Session, event string, p hub.Payload) {
	switch {
	case !a.foreign(s) || !a.heard():
		return
	case !a.books[s.Greenlet().Loop().ID()].shown.Allow():
		a.hub.Count("adminui_event_dropped")
		return
	}
	if err := a.ns.To().Volatile().Emit(event, s.Namespace(), s.ID(), eventArgs(p), date(time.Now())); err != nil {
		a.log.Debug("an event cannot be shown", "error", err)
	}
}
