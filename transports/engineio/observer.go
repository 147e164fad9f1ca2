package engineio

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Observer is told of the sessions of a [Server], and of how much they carry; see [Server.Observe]. Fields that are
// nil are not called. All are called on the session's loop, where they must not block.
type Observer struct {
	// Opened: a client has a session.
	Opened func(s *Socket)
	// Upgraded: it has changed from polling to WebSocket.
	Upgraded func(s *Socket)
	// Closed: the session has ended, for the reason that its handler is told right after.
	Closed func(s *Socket, reason string)
	// Received: a message came in, of so many bytes.
	Received func(s *Socket, bytes int)
	// Sent: a message was queued, of so many bytes as it will travel. One with attachments is a single one here.
	Sent func(s *Socket, bytes int)
}

// observers is the list of them: nil when it is empty, which is all that messages look at.
type observers struct {
	list    atomic.Pointer[[]*Observer]
	editing sync.Mutex
}

// Observe tells o what happens from now on. cancel ends it; a call may be under way when cancel returns. Any goroutine.
func (srv *Server) Observe(o Observer) (cancel func()) {
	p := &o
	srv.observers.edit(func(list []*Observer) []*Observer { return append(list, p) })
	return func() {
		srv.observers.edit(func(list []*Observer) []*Observer {
			return slices.DeleteFunc(list, func(x *Observer) bool { return x == p })
		})
	}
}

// edit swaps in an edited copy.
func (obs *observers) edit(change func([]*Observer) []*Observer) {
	obs.editing.Lock()
	defer obs.editing.Unlock()
	var list []*Observer
	if old := obs.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = change(list); len(list) == 0 {
		obs.list.Store(nil)
		return
	}
	obs.list.Store(&list)
}

func (obs *observers) each(call func(o *Observer)) {
	if list := obs.list.Load(); list != nil {
		for _, o := range *list {
			call(o)
		}
	}
}

func (obs *observers) opened(s *Socket) {
	obs.each(func(o *Observer) {
		if o.Opened != nil {
			o.Opened(s)
		}
	})
}

func (obs *observers) upgraded(s *Socket) {
	obs.each(func(o *Observer) {
		if o.Upgraded != nil {
			o.Upgraded(s)
		}
	})
}

func (obs *observers) closed(s *Socket, reason string) {
	obs.each(func(o *Observer) {
		if o.Closed != nil {
			o.Closed(s, reason)
		}
	})
}

func (obs *observers) received(s *Socket, bytes int) {
	if obs.list.Load() == nil {
		return
	}
	obs.each(func(o *Observer) {
		if o.Received != nil {
			o.Received(s, bytes)
		}
	})
}

func (obs *observers) sent(s *Socket, bytes int) {
	obs.each(func(o *Observer) {
		if o.Sent != nil {
			o.Sent(s, bytes)
		}
	})
}

// Polling is how many of the open sessions travel by polling now. It looks at each of them. Any goroutine.
func (srv *Server) Polling() (n int) {
	for i := range srv.sessions.shards {
		sh := &srv.sessions.shards[i]
		sh.mu.Lock()
		for _, s := range sh.m {
			if s.State() <= StateUpgrading {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n
}
