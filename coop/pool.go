package coop

import (
	"iter"
	"math"
)

// A Pool is a [Group] with a limit: who wants to start one more greenlet waits until there is room. Those
// who wait are served in order. The zero value is a pool without a limit. Loop only. gevent: Pool.
type Pool struct {
	group   Group
	size    int // 0: no limit
	slots   Semaphore
	seekers waitList // who wait for room without taking it
}

// NewPool returns a pool for n greenlets at a time; zero or less means no limit.
func NewPool(n int) *Pool {
	n = max(n, 0)
	return &Pool{size: n, slots: Semaphore{free: n}}
}

// Size is the limit, 0 if there is none.
func (p *Pool) Size() int { return p.size }

// Free is how many greenlets there is room for.
func (p *Pool) Free() int {
	if p.size == 0 {
		return math.MaxInt
	}
	return p.slots.free
}

// Full reports whether there is no room.
func (p *Pool) Full() bool { return p.Free() == 0 }

// Spawn starts a greenlet on g's loop as a member of the pool, waiting for room. An error means that
// g was killed or timed out; nothing is started then.
func (p *Pool) Spawn(g *Greenlet, fn func(*Greenlet) error) (*Greenlet, error) {
	if err := p.acquire(g); err != nil {
		return nil, err
	}
	return p.start(g, fn, nil), nil
}

// TrySpawn is Spawn if there is room. It never switches.
func (p *Pool) TrySpawn(g *Greenlet, fn func(*Greenlet) error) (*Greenlet, bool) {
	if !p.tryAcquire() {
		return nil, false
	}
	return p.start(g, fn, nil), true
}

func (p *Pool) acquire(g *Greenlet) error {
	if p.size == 0 {
		return nil
	}
	return p.slots.acquire(g, ParkedPool)
}

func (p *Pool) tryAcquire() bool { return p.size == 0 || p.slots.TryAcquire() }

// start makes use of a slot that was acquired.
func (p *Pool) start(g *Greenlet, fn func(*Greenlet) error, then func(*Greenlet)) *Greenlet {
	x := g.Spawn(fn)
	m := p.group.add(x)
	m.pool, m.then = p, then
	return x
}

// release gives a slot back.
func (p *Pool) release() {
	if p.size == 0 {
		return
	}
	p.slots.Release()
	if p.slots.free > 0 {
		p.seekers.wakeAll(nil)
	}
}

// Add makes x, which runs already, a member, waiting for room. It does nothing if x is one or has ended.
// [ErrOtherLoop] if x does not live where the other members do; other errors mean that g was killed or
// timed out.
func (p *Pool) Add(g, x *Greenlet) error {
	if p.group.Has(x) || x.Ended() {
		return nil
	}
	if err := p.acquire(g); err != nil {
		return err
	}
	return p.admit(x)
}

// TryAdd is Add if there is room, and reports whether x is a member now or has ended. It never switches.
func (p *Pool) TryAdd(x *Greenlet) bool {
	if p.group.Has(x) || x.Ended() {
		return true
	}
	return p.tryAcquire() && p.admit(x) == nil
}

// admit makes use of a slot that was acquired. Things may have changed while g waited for it.
func (p *Pool) admit(x *Greenlet) error {
	if p.group.Has(x) || x.Ended() {
		p.release()
		return nil
	}
	if l := p.group.loop; l != nil && l != x.loop {
		p.release()
		return ErrOtherLoop
	}
	p.group.add(x).pool = p
	return nil
}

// WaitAvailable parks g until there is room, and does not take it: until g parks the next time,
// TrySpawn succeeds. Those who wait in Spawn and Add go first.
func (p *Pool) WaitAvailable(g *Greenlet) error {
	for p.Full() {
		if err := g.waitOn(&p.seekers, ParkedPool); err != nil {
			return err
		}
	}
	return nil
}

// Discard takes x out of the pool, which makes room. It goes on as it would have without.
func (p *Pool) Discard(x *Greenlet) { p.group.Discard(x) }

// Has reports whether x is a member.
func (p *Pool) Has(x *Greenlet) bool { return p.group.Has(x) }

// Len is the number of members.
func (p *Pool) Len() int { return p.group.Len() }

// All yields the members, as [Group.All] does.
func (p *Pool) All() iter.Seq[*Greenlet] { return p.group.All() }

// Join parks g until the pool is empty, as [Group.Join] does.
func (p *Pool) Join(g *Greenlet) error { return p.group.Join(g) }

// Kill kills all members, as [Group.Kill] does. Those who wait for room then get it.
func (p *Pool) Kill() { p.group.Kill() }

// KillAll kills all members and waits, as [Group.KillAll] does.
func (p *Pool) KillAll(g *Greenlet) error { return p.group.KillAll(g) }
