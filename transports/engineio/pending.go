package engineio

import (
	"container/list"
	"sync"
	"time"
)

// pending are the sessions whose client has not sent anything since its handshake, oldest first. Anybody
// can open any number of them by requests alone, so there is a bound, and the oldest goes for a newcomer: a
// client that means it speaks within a round trip, and is off the list. Any goroutine.
type pending struct {
	mu       sync.Mutex
	list     list.List // of *Socket
	reported time.Time // when evictions were last logged
}

// pendingReport is the time between two lines in the log about evictions.
const pendingReport = time.Minute

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list.Len()
}

// add puts s at the end and returns the session, if there is one, that has to go because there are more
// than max.
func (p *pending) add(s *Socket, max int) (oldest *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.place = p.list.PushBack(s)
	if p.list.Len() <= max {
		return nil
	}
	oldest = p.list.Front().Value.(*Socket)
	p.removeLocked(oldest)
	return oldest
}

// remove takes s off the list, if it is on it.
func (p *pending) remove(s *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(s)
}

func (p *pending) removeLocked(s *Socket) {
	if s.place != nil {
		p.list.Remove(s.place)
		s.place = nil
	}
}

// report says whether an eviction at now is to be logged.
func (p *pending) report(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reported.IsZero() && now.Sub(p.reported) < pendingReport {
		return false
	}
	p.reported = now
	return true
}

// await puts a new session on the list, and evicts the oldest one if there are too many. On the loop, before
// anything else can happen to the session.
func (s *Socket) await() {
	if oldest := s.srv.pending.add(s, s.srv.opts.MaxPending); oldest != nil {
		oldest.later(oldest.evict)
	}
}

// evict ends a session that has not been heard of, unless it was in this moment.
func (s *Socket) evict() {
	if !s.pending || s.State() >= StateClosing {
		return
	}
	if srv := s.srv; srv.pending.report(time.Now()) {
		srv.log.Warn("clients that connect and say nothing are closed for newcomers",
			"max_pending", srv.opts.MaxPending, "counter", refusePending.Counter, "remote", s.request.RemoteAddr)
	}
	s.refuse(refusePending)
}

// heard notes that the client has sent something, or that the session is over. On the loop.
func (s *Socket) heard() {
	if s.pending {
		s.pending = false
		s.srv.pending.remove(s)
	}
}
