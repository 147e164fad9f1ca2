package coop_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

func TestPostFromManyGoroutinesIsFIFOForEach(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	const posters, posts = 8, 2000
	last := make([]int, posters) // the loop's
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range posts {
				l.Post(func() {
					if last[p] != i {
						t.Errorf("poster %d: %d after %d", p, i, last[p])
					}
					last[p] = i + 1
				})
			}
		})
	}
	wg.Wait()
	on(t, l, func(g *coop.Greenlet) error {
		for p, n := range last {
			if n != posts {
				t.Errorf("poster %d: %d of %d arrived", p, n, posts)
			}
		}
		return nil
	})
	if n := l.Stats().Posts; n < posters*posts {
		t.Errorf("counted %d posts", n)
	}
}

func TestPostWakesAnIdleLoop(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	for range 200 {
		done := make(chan struct{})
		l.Post(func() { close(done) })
		<-done
		runtime.Gosched()
	}
}

type flushFunc func()

func (f flushFunc) Flush() { f() }

func TestTickOrder(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		l := g.Loop()
		l.QueueFlush(flushFunc(func() { j.add("flush") }))
		l.AfterFunc(0, func() { j.add("timer") })
		l.Post(func() { j.add("post") })
		g.Spawn(func(g *coop.Greenlet) error { j.add("next tick's greenlet"); return nil })
		j.add("greenlet")
		return g.Yield()
	})
	j.want(t, "greenlet", "timer", "flush", "post", "next tick's greenlet")
}

func TestPanicsInCallbacksLeaveTheLoopAlive(t *testing.T) {
	var j journal
	o := coop.LoopOptions{
		Clock:   coop.NewFakeClock(),
		OnPanic: func(_ *coop.Loop, err *coop.PanicError) { j.add(err.Value.(string)) },
	}
	runWith(t, o, func(g *coop.Greenlet) error {
		l := g.Loop()
		for _, s := range []string{"1", "2"} {
			l.Post(func() { panic("post" + s) })
			l.AfterFunc(0, func() { panic("timer" + s) })
			l.QueueFlush(flushFunc(func() { panic("flush" + s) }))
			l.Post(func() { j.add("after post" + s) })
		}
		return g.Sleep(time.Second)
	})
	want := []string{"timer1", "timer2", "flush1", "flush2", "post1", "after post1", "post2", "after post2"}
	got := map[string]int{}
	for _, s := range j {
		got[s]++
	}
	for _, s := range want {
		if got[s] != 1 {
			t.Errorf("%s happened %d times: %q", s, got[s], j)
		}
	}
}

func TestPanicInTheHooksIsSurvived(t *testing.T) {
	l := started(t, coop.LoopOptions{
		OnFailure: func(*coop.Greenlet, error) { panic("failure hook") },
		OnPanic:   func(*coop.Loop, *coop.PanicError) { panic("panic hook") },
	})
	l.Go(func(*coop.Greenlet) error { return errBoom })
	l.Post(func() { panic("post") })
	on(t, l, func(g *coop.Greenlet) error { return g.Yield() })
}

func TestCallbacksDoNotStarveOthers(t *testing.T) {
	runWith(t, coop.LoopOptions{}, func(g *coop.Greenlet) error {
		l := g.Loop()
		stop := false
		var again func()
		again = func() {
			if !stop {
				l.Post(again)
				l.AfterFunc(0, func() {})
			}
		}
		again()
		spinner := g.Spawn(func(g *coop.Greenlet) error {
			for !stop {
				g.Yield()
			}
			return nil
		})
		err := g.Sleep(2 * time.Millisecond)
		stop = true
		spinner.Join(g)
		return err
	})
}

func TestCloseKillsAndWaits(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var cleaned atomic.Int32
	for range 10 {
		l.Spawn(func(g *coop.Greenlet) error {
			defer cleaned.Add(1)
			err := g.Sleep(time.Hour)
			wantErr(t, g.Yield(), coop.ErrKilled)
			return err
		})
	}
	l.Start()
	ready := make(chan struct{})
	l.Go(func(*coop.Greenlet) error { close(ready); return nil })
	<-ready
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if cleaned.Load() != 10 {
		t.Errorf("%d cleaned up", cleaned.Load())
	}
	if l.Post(func() {}) || l.Go(func(*coop.Greenlet) error { return nil }) {
		t.Error("a closed loop accepts work")
	}
	if n := l.Stats().Greenlets; n != 0 {
		t.Errorf("%d alive", n)
	}
	l.Start()
}

func TestCloseOfALoopThatNeverRan(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	posted := false
	l.Post(func() { posted = true })
	g := l.Spawn(func(*coop.Greenlet) error { return nil })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !posted || !g.Ended() {
		t.Errorf("posted %v, ended %v", posted, g.Ended())
	}
}

func TestCloseEndsTheStubbornByForce(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{OnFailure: quiet, OnPanic: func(*coop.Loop, *coop.PanicError) {}})
	if err != nil {
		t.Fatal(err)
	}
	var deferred atomic.Int32
	var begun sync.WaitGroup
	begun.Add(3)
	var stubborn []*coop.Greenlet
	stubborn = append(stubborn, l.Spawn(func(g *coop.Greenlet) error {
		defer deferred.Add(1)
		begun.Done()
		for {
			g.Sleep(time.Hour)
		}
	}), l.Spawn(func(g *coop.Greenlet) error { // swallows panics too, and parks while it unwinds
		defer deferred.Add(1)
		defer g.Yield()
		begun.Done()
		for {
			func() {
				defer func() { recover() }()
				g.Yield()
			}()
		}
	}), l.Spawn(func(g *coop.Greenlet) error {
		defer deferred.Add(1)
		defer func() { panic("while unwinding") }()
		begun.Done()
		for {
			g.Yield()
		}
	}))
	l.Start()
	begun.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if deferred.Load() != 3 {
		t.Errorf("%d unwound", deferred.Load())
	}
	for i, g := range stubborn {
		if !g.Ended() || g.Result() == nil {
			t.Errorf("greenlet %d: ended %v, %v", i, g.Ended(), g.Result())
		}
	}
}

func TestLoops(t *testing.T) {
	ls, err := coop.NewLoops(0, coop.LoopOptions{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if len(ls.All()) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d loops", len(ls.All()))
	}
	for i, l := range ls.All() {
		if l.ID() != i || l.Name() == "" {
			t.Errorf("loop %d: %d %q", i, l.ID(), l.Name())
		}
		for range 10 - i {
			on(t, l, func(g *coop.Greenlet) error {
				g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
				return nil
			})
		}
	}
	if least := ls.Least(); least.Stats().Greenlets > ls.All()[0].Stats().Greenlets {
		t.Errorf("least is loop %d", least.ID())
	}
	if err := ls.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestScratch(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		if n := len(g.Loop().Scratch()); n != coop.ScratchSize {
			t.Errorf("%d bytes", n)
		}
		return nil
	})
}

func TestNothingOnTheHotPathAllocates(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		other := g.Spawn(func(g *coop.Greenlet) error {
			for g.Yield() == nil {
			}
			return nil
		})
		if n := testing.AllocsPerRun(1000, func() { g.Yield() }); n != 0 {
			t.Errorf("Yield allocates %v times", n)
		}
		other.Kill()
		if n := testing.AllocsPerRun(1000, func() { g.Sleep(1) }); n != 0 {
			t.Errorf("Sleep allocates %v times", n)
		}
		return other.Join(g)
	})
}
