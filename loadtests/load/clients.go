package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"greenroom/coop"
)

// newUser is a user that has not connected.
func (r *run) newUser(id int, l *lane) *user {
	u := &user{run: r, id: id, lane: l}
	if r.plan.Transport == Polling {
		u.link = &pollLink{u: u}
	} else {
		u.link = &wsLink{u: u}
	}
	return u
}

// warmSessions come and go before the memory of idle ones is measured, so that the baseline holds what a server sets
// up once.
const warmSessions = 50

// connectAll opens the plan's sessions.
func (r *run) connectAll(g *coop.Greenlet) error {
	if err := r.reachable(g); err != nil {
		return err
	}
	if r.plan.Mode == Idle {
		if err := r.connectSome(g, min(warmSessions, r.plan.Clients), func(*coop.Greenlet, int) *user { return r.newUser(0, nil) }); err != nil {
			return err
		}
		for _, u := range r.users {
			u.link.leave(g)
		}
		r.users = r.users[:0]
	}
	if err := r.meter.baseline(r); err != nil || r.plan.Mode == Connect {
		return err
	}
	if r.plan.Mode != Idle {
		r.makeLanes()
	}
	g.Loop().Spawn(r.heartbeats)
	began := r.now()
	err := r.connectSome(g, r.plan.Clients, func(_ *coop.Greenlet, i int) *user {
		if len(r.lanes) == 0 {
			return r.newUser(i, nil)
		}
		l := r.lanes[i%len(r.lanes)]
		u := r.newUser(i, l)
		if l.publisher == nil {
			l.publisher = u
		}
		return u
	})
	r.result.ConnectSeconds = (r.now() - began).Seconds()
	return err
}

// reachable gives the server's absence a plain error, before many ask.
func (r *run) reachable(g *coop.Greenlet) error {
	return g.WithTimeout(handshakeWithin, func() error {
		c, err := coop.Dial(g, "tcp", r.peer.Addr)
		if err != nil {
			return fmt.Errorf("the server cannot be reached: %w", err)
		}
		return c.Close()
	})
}

// makeLanes makes the rooms, or those of the clients that echo.
func (r *run) makeLanes() {
	n := r.plan.Rooms
	if r.plan.Mode == Echo {
		n = r.plan.Clients
	}
	r.lanes = make([]*lane, n)
	prefix := fmt.Sprintf("load%04x-", rand.IntN(1<<16)) // not that of somebody else who measures the same server
	for i := range r.lanes {
		members := r.plan.Clients / n
		if i < r.plan.Clients%n {
			members++
		}
		l := &lane{name: prefix + strconv.Itoa(i), members: int32(members)}
		putHex(l.tag[:], uint32(i))
		r.lanes[i] = l
	}
}

// connectSome connects n users, a bounded number of them at a time, each in a greenlet.
func (r *run) connectSome(g *coop.Greenlet, n int, make func(*coop.Greenlet, int) *user) error {
	next, shown := 0, r.now()
	return g.Scope(func(s *coop.Scope) error {
		for range min(r.plan.Dialing, n) {
			s.Spawn(func(g *coop.Greenlet) error {
				for next < n {
					i := next
					next++
					u := make(g, i)
					if err := u.connect(g, true); err != nil {
						return fmt.Errorf("client %d of %d: %w", i+1, n, err)
					}
					r.users = append(r.users, u)
					if now := r.now(); r.plan.Progress != nil && now-shown >= time.Second {
						shown = now
						r.plan.Progress(Sample{Phase: "connecting", Connected: len(r.users)})
					}
				}
				return nil
			})
		}
		return nil
	})
}

// errInterrupted is the end of a run that has measured nothing.
var errInterrupted = errors.New("interrupted before anything was measured")

// heartbeats are those that clients of Engine.IO 3 begin, spread over the interval.
func (r *run) heartbeats(g *coop.Greenlet) error {
	const step = 250 * time.Millisecond
	at := 0
	for {
		if err := g.Sleep(step); err != nil {
			return nil
		}
		every := r.dialect.pingEvery()
		if every == 0 {
			continue
		}
		n := len(r.users)
		for range min(n, int(time.Duration(n)*step/every)+1) {
			at = (at + 1) % n
			if err := r.users[at].link.ping("2"); err != nil {
				r.fail(fmt.Errorf("heartbeat: %w", err))
			}
		}
	}
}

// storm starts the greenlets of the mode Connect.
func (r *run) storm(g *coop.Greenlet) {
	next := 0
	began := r.now()
	for range r.plan.Clients {
		g.Spawn(func(g *coop.Greenlet) error {
			for !r.idle {
				due := r.now()
				if r.every > 0 {
					due = began + time.Duration(next)*r.every
					next++
					if g.Sleep(max(due-r.now(), 0)) != nil || r.idle {
						return nil
					}
				}
				u := r.newUser(0, nil)
				if err := u.connect(g, false); err != nil {
					r.fail(fmt.Errorf("connecting: %w", err))
					return nil
				}
				r.meter.add(r.now()-due, true)
				u.link.leave(g)
			}
			return nil
		})
	}
}
