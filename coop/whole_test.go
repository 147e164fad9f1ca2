package coop

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// inspector looks at the ready queue in every tick until the loop closes.
type inspector struct {
	t     *testing.T
	l     *Loop
	ticks int
}

func (in *inspector) Flush() {
	in.ticks++
	in.check()
	if in.l.phase == running {
		in.l.QueueFlush(in)
	}
}

func (in *inspector) check() {
	r, seen := &in.l.ready, map[*Greenlet]bool{}
	if in.l.quota != 0 {
		in.t.Errorf("%d still belong to a phase that is over", in.l.quota)
	}
	for i, n := 0, 0; i < len(r.buf); i++ {
		g := r.buf[(r.head+i)&(len(r.buf)-1)]
		if (g != nil) != (i < r.n) {
			in.t.Fatalf("place %d of %d holds %p", i, r.n, g)
		}
		if g == nil {
			continue
		}
		if n++; seen[g] || g.state == parked || g.state == active {
			in.t.Fatalf("greenlet %d in state %d, there before: %v", g.id, g.state, seen[g])
		}
		seen[g] = true
	}
	for g := in.l.live.newest; g != nil; g = g.older {
		if queued := g.state <= yielding; queued != seen[g] {
			in.t.Fatalf("greenlet %d in state %d, in the queue: %v", g.id, g.state, seen[g])
		}
	}
}

// Whatever greenlets do, whichever hook panics and however they end, each that can go on is in the ready
// queue once, and nobody else is.
func TestReadyQueueStaysWhole(t *testing.T) {
	watchdog := time.AfterFunc(60*time.Second, func() { panic("hangs") })
	defer watchdog.Stop()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l, err := NewLoop(LoopOptions{
			OnFailure: func(*Greenlet, error) { panic("failure hook") },
			OnPanic:   func(*Loop, *PanicError) {},
			MaxAwait:  2,
		})
		if err != nil {
			t.Fatal(err)
		}
		in := &inspector{t: t, l: l}
		l.QueueFlush(in)
		var ev Event
		q := NewQueue[int](1)
		var all []*Greenlet
		left := 300
		var life func(g *Greenlet) error
		life = func(g *Greenlet) error {
			for range 1 + rng.IntN(20) {
				var err error
				short := time.Duration(rng.IntN(50)) * time.Microsecond
				switch rng.IntN(18) {
				case 0, 1:
					err = g.Yield()
				case 2:
					err = g.Sleep(short)
				case 3:
					err = g.WithTimeout(short, func() error { return ev.Wait(g) })
				case 4:
					ev.Set()
					ev.Clear()
				case 5:
					err = g.WithTimeout(short, func() error { return q.Put(g, 1) })
				case 6:
					err = g.WithTimeout(short, func() error { _, err := q.Get(g); return err })
				case 7, 8:
					if left--; left > 0 {
						all = append(all, g.Spawn(life), g.Spawn(life))
					}
				case 9:
					all[rng.IntN(len(all))].Kill()
				case 10:
					err = g.WithTimeout(short, func() error { return all[rng.IntN(len(all))].Join(g) })
				case 11:
					g.OnLoop(func() {})
				case 12:
					if rng.IntN(4) == 0 {
						g.OnLoop(runtime.Goexit)
					}
				case 13:
					if rng.IntN(4) == 0 {
						g.OnLoop(func() { panic("errand") })
					}
				case 14:
					if g.Err() == nil { // else it is called on a goroutine of its own, where a panic is the end
						g.AfterFunc(func() { panic("AfterFunc") })
					}
				case 15:
					_, err = Await(g, func() (int, error) { return 0, nil })
				case 16:
					if rng.IntN(6) == 0 {
						runtime.Goexit()
					}
				case 17:
					l.Post(runtime.Goexit)
				}
				if err != nil && rng.IntN(3) > 0 {
					return err
				}
			}
			if rng.IntN(10) == 0 {
				for { // until it is ended by force
					g.Sleep(time.Millisecond)
				}
			}
			return nil
		}
		for range 20 {
			all = append(all, l.Spawn(life))
		}
		pause := time.Duration(rng.IntN(15)) * time.Millisecond
		l.Start()
		time.Sleep(pause)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if in.ticks == 0 {
			t.Error("never looked")
		}
		if l.quota != 0 {
			t.Errorf("seed %d: %d of a phase left", seed, l.quota)
		}
		for l.ready.n > 0 { // those that were ended by force stay
			if g := l.ready.pop(); g.state != dead {
				t.Errorf("seed %d: greenlet %d left in state %d", seed, g.id, g.state)
			}
		}
		for _, g := range all {
			if !g.Ended() {
				t.Errorf("seed %d: one has not ended", seed)
			}
		}
	}
}
