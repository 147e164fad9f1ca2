package zmq

import (
	"context"
	"errors"
	"time"

	"greenroom/coop"
)

// Events are what a socket can be ready for.
type Events uint8

// Events of a socket.
const (
	In  Events = 1 << iota // Recv returns at once
	Out                    // Send returns at once
)

// Ready is a socket with what it is ready for.
type Ready struct {
	Socket *Socket
	Events Events
}

// Poller waits for several sockets at once. It is for one greenlet or goroutine at a time.
type Poller struct {
	items []Ready // with what is waited for
}

// Add has the poller wait for events of s, in place of those that it waited for before.
func (p *Poller) Add(s *Socket, events Events) {
	p.Remove(s)
	p.items = append(p.items, Ready{s, events})
}

// Remove has the poller forget s.
func (p *Poller) Remove(s *Socket) {
	for i, it := range p.items {
		if it.Socket == s {
			p.items = append(p.items[:i:i], p.items[i+1:]...)
			return
		}
	}
}

// Poll parks g until a socket is ready, at most for timeout, and returns those that are, in the order in which they were
// added; none when the time is up. A socket that has been closed is ready for everything. Others may be faster: TryRecv
// does not wait where Recv might. timeout is [coop.Forever] for no bound, 0 to look only.
func (p *Poller) Poll(g *coop.Greenlet, timeout time.Duration) (ready []Ready, err error) {
	if timeout <= 0 {
		return p.look(), nil
	}
	t := g.StartTimeout(timeout)
	defer t.Close()
	ready, err = p.poll(sleeper{g: g})
	if t.Caused(err) {
		return nil, nil
	}
	return ready, err
}

// PollContext is Poll for a goroutine; ctx takes the place of the timeout.
func (p *Poller) PollContext(ctx context.Context) ([]Ready, error) { return p.poll(sleeper{ctx: ctx}) }

func (p *Poller) poll(by sleeper) ([]Ready, error) {
	if len(p.items) == 0 {
		return nil, errors.New("zmq: the poller has no sockets")
	}
	for {
		if ready := p.look(); len(ready) > 0 {
			return ready, nil
		}
		w := by.newWaiter(true)
		for _, it := range p.items {
			it.Socket.watch(w, it.Events)
		}
		var err error
		if len(p.look()) == 0 { // once more: what came in between has told nobody
			err = by.sleep(w)
		}
		for _, it := range p.items {
			it.Socket.unwatch(w)
		}
		if err != nil {
			return nil, err
		}
	}
}

// look returns what is ready.
func (p *Poller) look() (ready []Ready) {
	for _, it := range p.items {
		if e := it.Socket.events() & it.Events; e != 0 {
			ready = append(ready, Ready{it.Socket, e})
		}
	}
	return ready
}

// events are what the socket is ready for.
func (s *Socket) events() (e Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return In | Out
	}
	if s.pattern.receivable() {
		e |= In
	}
	if s.pattern.sendable() {
		e |= Out
	}
	return e
}

func (s *Socket) watch(w *waiter, e Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e&In != 0 {
		s.receivers.add(w)
	}
	if e&Out != 0 {
		s.senders.add(w)
	}
}

func (s *Socket) unwatch(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receivers.remove(w)
	s.senders.remove(w)
}
