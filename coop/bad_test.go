package coop_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// All of thousands that are parked in every way end with ErrKilled when their loop is closed, and nothing is
// left of them; goleak sees to the coroutines.
func TestCloseWithThousandsParked(t *testing.T) {
	hangs(t)
	n := 20_000
	if raceEnabled {
		n = 3000
	}
	l, err := coop.NewLoop(coop.LoopOptions{OnFailure: func(g *coop.Greenlet, err error) { t.Errorf("%s: %v", g.Name(), err) }})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	var all []*coop.Greenlet
	var cleaned int // deferred functions that ran
	block := make(chan struct{})
	a, b := net.Pipe()
	defer b.Close()
	conn, err := coop.NewConn(l, a)
	if err != nil {
		t.Fatal(err)
	}
	on(t, l, func(g *coop.Greenlet) error {
		stay := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
		e, s, f, lock, group := coop.NewEvent(), coop.NewSemaphore(0), coop.NewFuture[int](), new(coop.RLock), new(coop.Group)
		empty, full, tasks := coop.NewQueue[int](-1), coop.NewQueue[int](0), coop.NewJoinableQueue(coop.NewQueue[int](-1))
		tasks.TryPut(1)
		lock.TryAcquire(stay)
		group.Add(stay)
		pool := coop.NewPool(1)
		pool.TryAdd(stay)
		ways := []func(g *coop.Greenlet) error{
			func(g *coop.Greenlet) error { return g.Sleep(time.Hour) },
			e.Wait, s.Acquire, lock.Acquire, group.Join, pool.WaitAvailable, stay.Join, tasks.Join,
			func(g *coop.Greenlet) error { _, err := f.Get(g); return err },
			func(g *coop.Greenlet) error { _, err := empty.Get(g); return err },
			func(g *coop.Greenlet) error { _, err := empty.Peek(g); return err },
			func(g *coop.Greenlet) error { return full.Put(g, 1) },
			func(g *coop.Greenlet) error { _, err := pool.Spawn(g, stay.Join); return err },
			func(g *coop.Greenlet) error { _, err := coop.WaitAny[coop.Waitable](g, e, f); return err },
			func(g *coop.Greenlet) error { _, err := coop.JoinN(g, 1, stay); return err },
			func(g *coop.Greenlet) error { return g.WithTimeout(time.Hour, func() error { return e.Wait(g) }) },
			func(g *coop.Greenlet) error {
				return g.Scope(func(s *coop.Scope) error { s.Spawn(e.Wait); return nil })
			},
			func(g *coop.Greenlet) error {
				_, err := coop.Await(g, func() (int, error) { <-block; return 0, nil })
				return err
			},
			func(g *coop.Greenlet) error { _, err := conn.Write(make([]byte, 1<<20)); return err },
		}
		for i := range n {
			way := ways[i%len(ways)]
			all = append(all, g.Spawn(func(g *coop.Greenlet) error {
				defer func() { cleaned++ }()
				return way(g)
			}))
		}
		late := g.SpawnLater(time.Hour, func(*coop.Greenlet) error { t.Error("it began"); return nil })
		all = append(all, late)
		return g.Sleep(time.Millisecond)
	})
	close(block)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for i, g := range all {
		if err := g.Result(); !g.Ended() || !errors.Is(err, coop.ErrKilled) && i%19 != 17 { // an Await may have come back
			t.Fatalf("%d ended: %v, %v", i, g.Ended(), err)
		}
	}
	if left := l.Stats().Greenlets; left != 0 || cleaned != n {
		t.Errorf("%d are left, %d of %d cleaned up", left, cleaned, n)
	}
}

// Whatever is asked of a loop that is closed is refused, and nobody waits for it.
func TestSpawnAfterClose(t *testing.T) {
	hangs(t)
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fn := func(*coop.Greenlet) error { t.Error("it ran"); return nil }
	if l.Go(fn) || l.Post(func() { t.Error("it ran") }) {
		t.Error("a closed loop takes work")
	}
	wantErr(t, l.Call(fn), coop.ErrClosed)
	other := started(t, coop.LoopOptions{})
	linked := 0
	task := coop.SpawnTask(l, func(*coop.Greenlet) (int, error) { return 1, fn(nil) })
	for _, g := range []*coop.Greenlet{l.Spawn(fn), l.SpawnLater(0, fn), l.SpawnLater(time.Second, fn), task.Greenlet} {
		if !g.Ended() || !errors.Is(g.Result(), coop.ErrKilled) {
			t.Errorf("ended: %v, %v", g.Ended(), g.Result())
		}
		g.Kill()
		g.Link(func(*coop.Greenlet) { linked++ })
		<-g.Done()
		on(t, other, g.Join)
	}
	if _, err := task.TryGet(); err != coop.ErrNoValue {
		t.Errorf("a value: %v", err)
	}
	if l.Stats().Greenlets != 0 {
		t.Errorf("%d greenlets", l.Stats().Greenlets)
	}
	wantErr(t, l.Close(), nil)
}

// A hook that panics when it hears of a failure costs nobody else anything.
func TestHooksThatPanic(t *testing.T) {
	hangs(t)
	panics := 0
	o := coop.LoopOptions{
		OnFailure: func(*coop.Greenlet, error) { panic("failure") },
		OnSpawn:   func(*coop.Greenlet) { panic("spawn") },
		OnPanic:   func(*coop.Loop, *coop.PanicError) { panics++; panic("panic") },
		Trace:     coop.NewTrace(coop.TraceOptions{OnEvent: func(coop.TraceEvent) { panic("event") }}),
	}
	err := coop.RunWith(o, func(g *coop.Greenlet) error {
		ended := 0
		for i := range 5 {
			g.Spawn(func(g *coop.Greenlet) error {
				if i == 2 {
					panic("greenlet")
				}
				return errBoom
			}).Link(func(*coop.Greenlet) { ended++; panic("link") })
		}
		for ended < 5 {
			if err := g.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || panics < 6+5+5 {
		t.Errorf("%v, %d panics", err, panics)
	}
	checkStory(t, o.Trace.Events())
}

// Whoever holds the loop is told, by the name that it has and the place where it is.
func TestWatchdogSeesEveryKindOfHog_74(t *testing.T) {
	hangs(t)
	const callback = "a callback of the loop"
	type hog struct {
		who  string
		hold func(l *coop.Loop, hold func())
	}
	named := func(name string, fn func(g *coop.Greenlet, hold func()) error) hog {
		return hog{name, func(l *coop.Loop, hold func()) {
			l.Go(func(g *coop.Greenlet) error {
				g.SetName(name)
				return fn(g, hold)
			})
		}}
	}
	posted := func(fn func(l *coop.Loop, hold func())) hog {
		return hog{callback, func(l *coop.Loop, hold func()) { l.Post(func() { fn(l, hold) }) }}
	}
	hogs := map[string]hog{
		"greenlet": named("plain", func(_ *coop.Greenlet, hold func()) error { hold(); return nil }),
		"on loop":  named("errand", func(g *coop.Greenlet, hold func()) error { g.OnLoop(hold); return nil }),
		"after I/O": named("reader", func(g *coop.Greenlet, hold func()) error {
			return errors.Join(g.Sleep(time.Millisecond), g.Idle(), call(hold))
		}),
		"deferred": named("cleaner", func(_ *coop.Greenlet, hold func()) error { defer hold(); return nil }),
		"panicking": named("panicker", func(_ *coop.Greenlet, hold func()) error {
			defer func() { recover(); hold() }()
			panic("oh")
		}),
		"posted":  posted(func(_ *coop.Loop, hold func()) { hold() }),
		"timer":   posted(func(l *coop.Loop, hold func()) { l.AfterFunc(time.Millisecond, hold) }),
		"flusher": posted(func(l *coop.Loop, hold func()) { l.QueueFlush(flushFunc(hold)) }),
		"link": posted(func(l *coop.Loop, hold func()) {
			l.Spawn(func(*coop.Greenlet) error { return nil }).Link(func(*coop.Greenlet) { hold() })
		}),
		"after a panic": posted(func(l *coop.Loop, hold func()) {
			// The switch into this one never came back in the usual way.
			l.Spawn(func(g *coop.Greenlet) error {
				g.SetName("not me")
				g.AfterFunc(func() { panic("hook") })
				return nil
			})
			l.AfterFunc(time.Millisecond, hold)
		}),
		"handler": posted(func(l *coop.Loop, hold func()) {
			h := newHandler()
			h.read = func(*coop.Stream, []byte) { hold() }
			near, far, err := coop.Pipe(l, l, h, newHandler(), coop.PipeOptions{})
			if err != nil {
				t.Error(err)
			}
			near.Start()
			far.Start()
			far.Write([]byte("x"))
		}),
	}
	for name, hog := range hogs {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{OnPanic: func(*coop.Loop, *coop.PanicError) {}})
			blocks := make(chan coop.Block, 1000)
			w := coop.Watch(coop.WatchdogOptions{Limit: 20 * time.Millisecond, OnBlock: func(b coop.Block) { blocks <- b }}, l)
			defer w.Stop()
			onLoop(t, l, func() {}) // it watches
			b := hogOf(blocks, func(stop *atomic.Bool, ended chan<- struct{}) {
				hog.hold(l, func() { defer close(ended); holdTheLoop(stop) })
			})
			if b.Who() != hog.who {
				t.Errorf("held by %q, told of %q at\n%s", hog.who, b.Who(), b.Stack)
			}
		})
	}
}

func call(fn func()) error { fn(); return nil }

// One that ends by force, with a deferred function that holds the loop, is told by name, too.
func TestWatchdogSeesHogsOfAClosingLoop_74(t *testing.T) {
	hangs(t)
	blocks := make(chan coop.Block, 1000)
	b := hogOf(blocks, func(stop *atomic.Bool, ended chan<- struct{}) {
		l, err := coop.NewLoop(coop.LoopOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l.Start()
		w := coop.Watch(coop.WatchdogOptions{Limit: 20 * time.Millisecond, OnBlock: func(b coop.Block) { blocks <- b }}, l)
		onLoop(t, l, func() {
			l.Spawn(func(g *coop.Greenlet) error {
				g.SetName("stubborn")
				defer holdTheLoop(stop)
				for {
					g.Yield()
				}
			})
		})
		go func() {
			defer close(ended)
			wantErr(t, l.Close(), nil)
			w.Stop()
		}()
	})
	if b.Who() != "stubborn" {
		t.Errorf("told of %q", b.Who())
	}
}
