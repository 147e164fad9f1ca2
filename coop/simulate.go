package coop

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// SimOptions configure [Simulate]. The zero value is ready to use.
type SimOptions struct {
	// Seed decides everything that is left to chance.
	Seed uint64

	// Loop are the loop's options. Its Clock is replaced.
	Loop LoopOptions

	// Delay is the longest that a piece of data takes from one end of a connection to the other, and a
	// connection to be made; 0 is 5 ms, negative is none.
	Delay time.Duration

	// Shuffle has greenlets that are ready in the same tick run in an order that the seed decides, instead
	// of first come, first served: what depends on luck comes to light.
	Shuffle bool
}

const defaultSimDelay = 5 * time.Millisecond

// A World is what a simulated program sees instead of the system: time, chance and a network. Loop only.
type World struct {
	loop      *Loop
	rand      *rand.Rand
	delay     time.Duration
	shuffle   bool
	listeners map[string]*Listener
	ids       uint64
	stuck     error
}

// simEpoch is when the clock of every simulation begins.
var simEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// A DeadlockError says that a simulated program waits for nothing: no greenlet can ever run again.
type DeadlockError struct {
	Waiting string // who waits for what, as [Dump] prints it
}

func (e *DeadlockError) Error() string {
	return "everything waits for something that cannot come:\n" + e.Waiting
}

// Simulate runs fn as [Run] does, but in a world of its own: the clock is a [FakeClock], connections are in
// memory, arrive late and in pieces, and whatever is left to chance is decided by the seed. The same
// seed gives the same run, switch by switch, so that a failure found once can be found again, and
// traces of two runs are equal: the numbers of greenlets count from 1.
//
// What would break that does not happen: a function given to [Await] is called in place and holds
// everything up. Deadlines of connections count from [World.Time], which is also [Loop.Time]. What fn itself reads from the
// system, the order of a map, a goroutine it starts, are its own business; so is TLS, whose handshakes
// are made of the system's chance.
//
// When nothing can happen any more the run ends with a *[DeadlockError].
func Simulate(o SimOptions, fn func(*Greenlet, *World) error) error {
	if o.Delay == 0 {
		o.Delay = defaultSimDelay
	}
	w := &World{
		rand:    rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)),
		delay:   max(o.Delay, 0),
		shuffle: o.Shuffle, listeners: make(map[string]*Listener),
	}
	o.Loop.Clock = NewFakeClock()
	err := runOn(o.Loop, func(l *Loop) { w.loop, l.world = l, w }, func(g *Greenlet) error { return fn(g, w) })
	if w.stuck != nil {
		return w.stuck
	}
	return err
}

// Rand is the world's chance. Whoever draws from it changes what comes after, in the same way each time.
func (w *World) Rand() *rand.Rand { return w.rand }

// Time is the time of day in the world: it begins with the year 2000.
func (w *World) Time() time.Time { return w.loop.Time() }

// carry decides how a piece of data travels.
func (w *World) carry(n int) (time.Duration, int) { return w.lag(), 1 + w.rand.IntN(n) }

func (w *World) lag() time.Duration {
	if w.delay == 0 {
		return 0
	}
	return time.Duration(w.rand.Int64N(int64(w.delay) + 1))
}

// mix brings the greenlets of this tick into an order of chance.
func (w *World) mix(ready *readyQueue, n int) {
	w.rand.Shuffle(n, func(i, j int) {
		a, b := ready.at(i), ready.at(j)
		*a, *b = *b, *a
	})
}

// deadlocked ends a run in which nothing can happen any more.
func (w *World) deadlocked() {
	var b bytes.Buffer
	c := &census{max: defaultDumpMax, done: make(chan struct{})}
	c.RunOn(w.loop)
	c.write(&b, nil)
	w.stuck = &DeadlockError{Waiting: b.String()}
	w.loop.halt = true
}

// nextID numbers a new greenlet.
func (l *Loop) nextID() uint64 {
	if l.world != nil {
		l.world.ids++
		return l.world.ids
	}
	return lastID.Add(1)
}
