package coop_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

// A portSide is one of those who may use a port. start begins a call on it, and returns how it ended and a
// way to make it give up.
type portSide struct {
	name  string
	start func(call portCall) *portWait
}

// portCall is one call on a port, for a greenlet and for a goroutine.
type portCall struct {
	g   func(g *coop.Greenlet) error
	ctx func(ctx context.Context) error
}

type portWait struct {
	done   chan error
	giveUp func()
}

// result waits for the end of the call.
func (w *portWait) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.done:
		return err
	case <-time.After(patience):
		t.Fatal("the call does not end")
		return nil
	}
}

func (w *portWait) stillWaits(t *testing.T) {
	t.Helper()
	select {
	case err := <-w.done:
		t.Errorf("did not wait: %v", err)
	default:
	}
}

func fromLoop(l *coop.Loop) func(portCall) *portWait {
	return func(c portCall) *portWait {
		w := &portWait{done: make(chan error, 1)}
		began := make(chan *coop.Greenlet)
		l.Go(func(g *coop.Greenlet) error {
			began <- g
			err := c.g(g)
			w.done <- err
			return nil
		})
		w.giveUp = (<-began).Kill
		return w
	}
}

func fromGoroutine(c portCall) *portWait {
	w := &portWait{done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	w.giveUp = cancel
	go func() { w.done <- c.ctx(ctx) }()
	return w
}

// flush returns when all that had been posted to the loops has been done, and what that posted in turn.
func flush(ls ...*coop.Loop) {
	for range 4 {
		for _, l := range ls {
			done := make(chan struct{})
			if l.Post(func() { close(done) }) {
				<-done
			}
		}
		runtime.Gosched()
	}
}

// do runs fn on the loop and waits for it.
func do(l *coop.Loop, fn func()) {
	done := make(chan struct{})
	l.Post(func() { defer close(done); fn() })
	<-done
}

// eachSide runs fn with a home loop and each of those who may call.
func eachSide(t *testing.T, fn func(t *testing.T, home *coop.Loop, s portSide, settle func())) {
	for _, name := range []string{"other loop", "goroutine", "home"} {
		t.Run(name, func(t *testing.T) {
			home := started(t, coop.LoopOptions{Name: "home"})
			other := started(t, coop.LoopOptions{Name: "other"})
			s := portSide{name, fromGoroutine}
			switch name {
			case "other loop":
				s.start = fromLoop(other)
			case "home":
				s.start = fromLoop(home)
			}
			fn(t, home, s, func() { flush(other, home) })
		})
	}
}

// inLine starts the call and returns when it stands in line; standing says how many stand there.
func inLine(t *testing.T, home *coop.Loop, s portSide, c portCall) *portWait {
	t.Helper()
	before := places(home)
	w := s.start(c)
	for deadline := time.Now().Add(20 * time.Second); places(home) == before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("does not get in line")
		}
	}
	return w
}

// places counts who waits on the loop: its greenlets, and the places of others.
func places(l *coop.Loop) (n int) {
	do(l, func() { n = coop.Parked(l) })
	return n
}

// portThings are the things that have a port, each with a call that has to wait.
var portThings = map[string]func(home *coop.Loop) (call portCall, give func(), has func() bool, shut func(), flag bool){
	"get": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		q := coop.NewQueue[int](1)
		p := q.Port(home)
		return portCall{
			func(g *coop.Greenlet) error { _, err := p.Get(g); return err },
			func(ctx context.Context) error { _, err := p.GetContext(ctx); return err },
		}, func() { q.TryPut(1) }, func() bool { _, ok := q.TryGet(); return ok }, q.Close, false
	},
	"put": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		q := coop.NewQueue[int](1)
		q.TryPut(0)
		p := q.Port(home)
		return portCall{
			func(g *coop.Greenlet) error { return p.Put(g, 1) },
			func(ctx context.Context) error { return p.PutContext(ctx, 1) },
		}, func() { q.TryGet() }, func() bool { return q.TryPut(2) }, q.Close, false
	},
	"channel": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		q := coop.NewQueue[int](0)
		p := q.Port(home)
		given := 0
		return portCall{
				func(g *coop.Greenlet) error { return p.Put(g, 1) },
				func(ctx context.Context) error { return p.PutContext(ctx, 1) },
			}, func() {
				if _, ok := q.TryGet(); !ok {
					given++ // to nobody
				}
			}, func() bool { return given > 0 }, q.Close, false
	},
	"event": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		e := coop.NewEvent()
		p := e.Port(home)
		return portCall{p.Wait, p.WaitContext}, e.Set, e.IsSet, nil, true
	},
	"future": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		f := coop.NewFuture[int]()
		p := f.Port(home)
		return portCall{
			func(g *coop.Greenlet) error { _, err := p.Get(g); return err },
			func(ctx context.Context) error { _, err := p.GetContext(ctx); return err },
		}, func() { f.Set(1) }, f.Ready, nil, true
	},
	"semaphore": func(home *coop.Loop) (portCall, func(), func() bool, func(), bool) {
		s := coop.NewSemaphore(0)
		p := s.Port(home)
		return portCall{p.Acquire, p.AcquireContext}, s.Release, s.TryAcquire, nil, false
	},
}

func eachPort(t *testing.T, fn func(t *testing.T, home *coop.Loop, s portSide, c portCall, give func(), has func() bool, shut func(), flag bool, settle func())) {
	eachSide(t, func(t *testing.T, home *coop.Loop, s portSide, settle func()) {
		for name, thing := range portThings {
			t.Run(name, func(t *testing.T) {
				c, give, has, shut, flag := thing(home)
				fn(t, home, s, c, give, has, shut, flag, settle)
			})
		}
	})
}

// #52, #65: woken across loops, exactly once.
func TestPortIsWoken52(t *testing.T) {
	eachPort(t, func(t *testing.T, home *coop.Loop, s portSide, c portCall, give func(), has func() bool, _ func(), flag bool, settle func()) {
		w := inLine(t, home, s, c)
		settle()
		w.stillWaits(t)
		do(home, give)
		wantErr(t, w.result(t), nil)
		do(home, func() {
			if has() != flag {
				t.Errorf("there is something left: %v", !flag)
			}
		})
	})
}

// #52, #65: who gives up leaves nothing behind, and what comes later is there for others.
func TestPortGivesUp52(t *testing.T) {
	eachPort(t, func(t *testing.T, home *coop.Loop, s portSide, c portCall, give func(), has func() bool, _ func(), _ bool, settle func()) {
		w := inLine(t, home, s, c)
		w.giveUp()
		if err := w.result(t); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		settle()
		if n := places(home); n != 0 {
			t.Errorf("%d places left", n)
		}
		do(home, give)
		do(home, func() {
			if !has() {
				t.Error("lost")
			}
		})
	})
}

// #65: one gives up, and the word of it is still on the way when its turn comes: the next one has it.
func TestPortGivesUpAtTheLastMoment65(t *testing.T) {
	eachPort(t, func(t *testing.T, home *coop.Loop, s portSide, c portCall, give func(), has func() bool, _ func(), flag bool, settle func()) {
		if s.name == "home" {
			return // a greenlet of the home loop cannot give up while the loop is held
		}
		first, second := inLine(t, home, s, c), inLine(t, home, s, c)
		held, release := make(chan struct{}), make(chan struct{})
		home.Post(func() {
			close(held)
			<-release
			give()
		})
		<-held
		first.giveUp()
		if err := first.result(t); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(release)
		wantErr(t, second.result(t), nil)
		settle()
		do(home, func() {
			if has() != flag {
				t.Error("given twice")
			}
		})
	})
}

// #65: the kill comes when the answer is on its way: the answer is not lost, and the kill comes next.
func TestPortKilledWhenTheAnswerIsOnItsWay65(t *testing.T) {
	for name, thing := range portThings {
		t.Run(name, func(t *testing.T) {
			home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
			c, give, has, _, flag := thing(home)
			var after error
			inner := c.g
			c.g = func(g *coop.Greenlet) error {
				err := inner(g)
				after = g.Yield()
				return err
			}
			w := inLine(t, home, portSide{start: fromLoop(other)}, c)
			held, release := make(chan struct{}), make(chan struct{})
			other.Post(func() { close(held); <-release })
			<-held
			do(home, give)
			w.giveUp()
			close(release)
			wantErr(t, w.result(t), nil)
			wantErr(t, after, coop.ErrKilled)
			do(home, func() {
				if has() != flag {
					t.Error("given twice")
				}
			})
		})
	}
}

// The same with the kill before the answer in the queue of the asking loop, and with a timeout.
func TestPortInterruptedBeforeTheAnswerIsSeen65(t *testing.T) {
	for _, how := range []string{"kill", "timeout"} {
		for name, thing := range portThings {
			t.Run(how+" "+name, func(t *testing.T) {
				clock := &coarseClock{step: time.Hour}
				home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{Clock: clock})
				c, give, has, _, flag := thing(home)
				var err, after error
				done := make(chan struct{})
				held, release := make(chan struct{}), make(chan struct{})
				x := make(chan *coop.Greenlet, 1)
				other.Go(func(g *coop.Greenlet) error {
					defer close(done)
					g.Spawn(func(*coop.Greenlet) error { // runs when g is parked
						close(held)
						<-release
						return nil
					})
					x <- g
					d := time.Second // due in the tick in which it is set: the clock jumps
					if how == "kill" {
						d = 1 << 60
					}
					return g.WithTimeout(d, func() error {
						err = c.g(g)
						after = g.Yield()
						return nil
					})
				})
				<-held
				if how == "kill" {
					(<-x).Kill() // stands in other's inbox before the answer
				}
				flush(home)
				do(home, give)
				close(release)
				<-done
				wantErr(t, err, nil)
				if how == "kill" {
					wantErr(t, after, coop.ErrKilled)
				} else if after != nil { // the timeout may come later than the answer
					wantErr(t, after, coop.ErrTimeout)
				}
				do(home, func() {
					if has() != flag {
						t.Error("given twice")
					}
				})
			})
		}
	}
}

// The thing is closed under those who wait; the home loop ends.
func TestPortClosed52(t *testing.T) {
	eachPort(t, func(t *testing.T, home *coop.Loop, s portSide, c portCall, _ func(), _ func() bool, shut func(), _ bool, _ func()) {
		if shut == nil {
			return
		}
		w := inLine(t, home, s, c)
		do(home, shut)
		wantErr(t, w.result(t), coop.ErrClosed)
		wantErr(t, s.start(c).result(t), coop.ErrClosed)
	})
}

func TestPortHomeCloses52(t *testing.T) {
	for name, thing := range portThings {
		t.Run(name, func(t *testing.T) {
			home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
			c, _, _, _, _ := thing(home)
			sides := []portSide{{"other loop", fromLoop(other)}, {"goroutine", fromGoroutine}}
			var ws []*portWait
			for _, s := range sides {
				ws = append(ws, inLine(t, home, s, c))
			}
			if err := home.Close(); err != nil {
				t.Error(err)
			}
			for _, w := range ws {
				wantErr(t, w.result(t), coop.ErrClosed)
			}
			for _, s := range sides {
				wantErr(t, s.start(c).result(t), coop.ErrClosed)
			}
		})
	}
}

func TestPortHomeNeverStarted52(t *testing.T) {
	for name, thing := range portThings {
		t.Run(name, func(t *testing.T) {
			other := started(t, coop.LoopOptions{})
			home, err := coop.NewLoop(coop.LoopOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c, _, _, _, _ := thing(home)
			a, b := fromLoop(other)(c), fromGoroutine(c)
			flush(other)
			if err := home.Close(); err != nil {
				t.Error(err)
			}
			wantErr(t, a.result(t), coop.ErrClosed)
			wantErr(t, b.result(t), coop.ErrClosed)
		})
	}
}

// The asking loop ends: its greenlets are gone from the lines, and nothing is given to them.
func TestPortAskingLoopCloses52(t *testing.T) {
	for name, thing := range portThings {
		t.Run(name, func(t *testing.T) {
			home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
			c, give, has, _, _ := thing(home)
			w := inLine(t, home, portSide{start: fromLoop(other)}, c)
			if err := other.Close(); err != nil {
				t.Error(err)
			}
			wantErr(t, w.result(t), coop.ErrKilled)
			flush(home)
			if n := places(home); n != 0 {
				t.Errorf("%d places left", n)
			}
			do(home, give)
			do(home, func() {
				if !has() {
					t.Error("lost")
				}
			})
		})
	}
}

// One line for all: the home's greenlets and those of others are served in the order of arrival.
func TestPortOrder52(t *testing.T) {
	home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	sides := []portSide{{"home", fromLoop(home)}, {"other", fromLoop(other)}, {"goroutine", fromGoroutine}}
	q := coop.NewQueue[int](-1)
	p := q.Port(home)
	got := make([]int, 9)
	var ws []*portWait
	for i := range got {
		ws = append(ws, inLine(t, home, sides[i%3], portCall{
			func(g *coop.Greenlet) (err error) { got[i], err = p.Get(g); return err },
			func(ctx context.Context) (err error) { got[i], err = p.GetContext(ctx); return err },
		}))
	}
	do(home, func() {
		for i := range got {
			q.TryPut(i)
		}
	})
	for _, w := range ws {
		wantErr(t, w.result(t), nil)
	}
	wantValues(t, got, 0, 1, 2, 3, 4, 5, 6, 7, 8)
}

func TestPortOfAPriorityQueue60(t *testing.T) {
	home := started(t, coop.LoopOptions{})
	for name, c := range map[string]struct {
		q    *coop.Queue[int]
		want []int
	}{
		"priority": {coop.NewPriorityQueue(-1, func(a, b int) bool { return a < b }), []int{1, 2, 3}},
		"lifo":     {coop.NewLIFOQueue[int](-1), []int{2, 1, 3}},
	} {
		p := c.q.Port(home)
		for _, v := range []int{3, 1, 2} {
			wantErr(t, p.PutContext(context.Background(), v), nil)
		}
		var got []int
		for range 3 {
			v, err := p.GetContext(context.Background())
			wantErr(t, err, nil)
			got = append(got, v)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v", name, got)
		}
		w := inLine(t, home, portSide{start: fromGoroutine}, portCall{ctx: func(ctx context.Context) error {
			v, err := p.GetContext(ctx)
			if v != 7 {
				t.Errorf("%s: a waiter got %d", name, v)
			}
			return err
		}})
		do(home, func() { c.q.TryPut(7) })
		wantErr(t, w.result(t), nil)
		p.Close()
		_, err := p.GetContext(context.Background())
		wantErr(t, err, coop.ErrClosed)
	}
}

func TestEventPortSetAndClear52(t *testing.T) {
	home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	var e coop.Event
	p := e.Port(home)
	for range 100 {
		w := inLine(t, home, portSide{start: fromLoop(other)}, portCall{g: p.Wait})
		if !p.Set() || !p.Clear() {
			t.Error("refused")
		}
		wantErr(t, w.result(t), nil)
	}
	p.Set()
	wantErr(t, p.WaitContext(context.Background()), nil)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	wantErr(t, p.WaitContext(ended), context.Canceled)
	if err := home.Close(); err != nil {
		t.Error(err)
	}
	if p.Set() || p.Clear() || new(coop.Semaphore).Port(home).Release() {
		t.Error("a closed loop took it")
	}
}

// #52, #65: many loops and goroutines put and get with little patience, some are killed: every value
// that was put is got exactly once, and each producer's in its order.
func TestPortStressQueue65(t *testing.T) {
	for _, limit := range []int{-1, 0, 2} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) { stressQueue(t, limit) })
	}
}

func stressQueue(t *testing.T, limit int) {
	const producers, consumers, values = 8, 8, 400
	home := started(t, coop.LoopOptions{})
	others := []*coop.Loop{home, started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})}
	q := coop.NewQueue[[2]int](limit)
	p := q.Port(home)

	put := make([][]int, producers) // what was accepted, of each producer
	got := make([][][2]int, consumers)
	var producing, consuming sync.WaitGroup
	retry := func(err error) bool { // whether to go on after err
		return err == nil || errors.Is(err, coop.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
	}
	for i := range producers {
		producing.Add(1)
		note := func(n int, err error) bool {
			if err == nil {
				put[i] = append(put[i], n)
			} else if !retry(err) {
				t.Error("put:", err)
				return false
			}
			return true
		}
		if i%2 == 0 {
			go func() {
				defer producing.Done()
				for n := range values {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%7)*20*time.Microsecond)
					err := p.PutContext(ctx, [2]int{i, n})
					cancel()
					if !note(n, err) {
						return
					}
				}
			}()
			continue
		}
		others[i/2%len(others)].Go(func(g *coop.Greenlet) error {
			defer producing.Done()
			for n := range values {
				err := g.WithTimeout(time.Duration(n%7)*20*time.Microsecond, func() error { return p.Put(g, [2]int{i, n}) })
				if !note(n, err) {
					return err
				}
			}
			return nil
		})
	}
	for i := range consumers {
		consuming.Add(1)
		note := func(v [2]int, err error) bool {
			if err == nil {
				got[i] = append(got[i], v)
			}
			return retry(err)
		}
		if i%2 == 0 {
			go func() {
				defer consuming.Done()
				for n := 0; ; n++ {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+n%5)*30*time.Microsecond)
					v, err := p.GetContext(ctx)
					cancel()
					if !note(v, err) {
						return
					}
				}
			}()
			continue
		}
		others[i/2%len(others)].Go(func(g *coop.Greenlet) error {
			defer consuming.Done()
			for n, open := 0, true; open; n++ {
				// Half of the calls are made by greenlets that are killed.
				var v [2]int
				var err error
				if n%2 == 0 {
					err = g.WithTimeout(time.Duration(1+n%5)*30*time.Microsecond, func() (err error) { v, err = p.Get(g); return err })
					open = note(v, err)
					continue
				}
				victim := g.Spawn(func(g *coop.Greenlet) error {
					v, err = p.Get(g)
					if !errors.Is(err, coop.ErrKilled) {
						open = note(v, err)
					}
					return nil
				})
				for range n % 4 {
					g.Yield()
				}
				if err := coop.KillAll(g, victim); err != nil {
					return err
				}
			}
			return nil
		})
	}
	producing.Wait()
	// What was accepted from one whose getter went away may still be in the queue.
	flush(others...)
	do(home, func() { q.Close() })
	consuming.Wait()
	flush(others...)

	seen := make(map[[2]int]int)
	for c := range got {
		last := make(map[int]int)
		for _, v := range got[c] {
			seen[v]++
			if before, ok := last[v[0]]; ok && before >= v[1] && limit != 0 {
				t.Errorf("consumer %d got %d of producer %d after %d", c, v[1], v[0], before)
			}
			last[v[0]] = v[1]
		}
	}
	accepted := 0
	for i := range put {
		for _, n := range put[i] {
			accepted++
			if seen[[2]int{i, n}] != 1 {
				t.Errorf("value %d of producer %d was got %d times", n, i, seen[[2]int{i, n}])
			}
		}
	}
	if len(seen) != accepted {
		t.Errorf("%d values were accepted, %d got", accepted, len(seen))
	}
	if n := places(home); n != 0 {
		t.Errorf("%d places left", n)
	}
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

// #65: dueling threads: permits are neither lost nor doubled.
func TestPortStressSemaphore65(t *testing.T) {
	const permits, workers, rounds = 2, 9, 300
	home := started(t, coop.LoopOptions{})
	others := []*coop.Loop{home, started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})}
	s := coop.NewSemaphore(permits)
	p := s.Port(home)
	var mu sync.Mutex
	held, most, acquired := 0, 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		held += by
		most = max(most, held)
		if by > 0 {
			acquired++
		}
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Add(1)
		if i%3 == 0 {
			go func() {
				defer wg.Done()
				for n := range rounds {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%5)*20*time.Microsecond)
					if p.AcquireContext(ctx) == nil {
						count(1)
						runtime.Gosched()
						count(-1)
						p.Release()
					}
					cancel()
				}
			}()
			continue
		}
		others[i%len(others)].Go(func(g *coop.Greenlet) error {
			defer wg.Done()
			for n := range rounds {
				err := g.WithTimeout(time.Duration(n%5)*20*time.Microsecond, func() error { return p.Acquire(g) })
				if err == nil {
					count(1)
					g.Yield()
					count(-1)
					p.Release()
				}
			}
			return nil
		})
	}
	wg.Wait()
	flush(others...)
	do(home, func() {
		if s.Free() != permits {
			t.Errorf("%d permits at the end", s.Free())
		}
	})
	if most > permits || acquired == 0 {
		t.Errorf("%d had a permit at a time, %d did in all", most, acquired)
	}
	if n := places(home); n != 0 {
		t.Errorf("%d places left", n)
	}
}

// #52: loops that close in the middle: every value is got once, or still in the queue.
func TestPortStressClosingLoops52(t *testing.T) {
	home := started(t, coop.LoopOptions{})
	q := coop.NewQueue[int](-1)
	p := q.Port(home)
	// The feeder goes on as long as there are rounds: how much one loop takes before it is closed is not known.
	enoughRounds, cancel := context.WithCancel(context.Background())
	defer cancel()
	fed := make(chan int, 1)
	go func() {
		n := 0
		for ; enoughRounds.Err() == nil; n++ {
			if err := p.PutContext(context.Background(), n); err != nil {
				t.Error(err)
				break
			}
		}
		fed <- n
	}()
	var mu sync.Mutex
	var got []int
	for round := range 20 {
		l, err := coop.NewLoop(coop.LoopOptions{})
		if err != nil {
			t.Fatal(err)
		}
		enough := make(chan struct{})
		n := 0
		for range 5 {
			l.Spawn(func(g *coop.Greenlet) error {
				for {
					v, err := p.Get(g)
					if err != nil {
						return err
					}
					mu.Lock()
					got = append(got, v)
					mu.Unlock()
					if n++; n == 10+round {
						close(enough)
					}
				}
			})
		}
		l.Start()
		<-enough
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	seen := make([]int, <-fed)
	flush(home)
	do(home, func() {
		for {
			v, ok := q.TryGet()
			if !ok {
				break
			}
			got = append(got, v)
		}
	})
	for _, v := range got {
		seen[v]++
	}
	for v, n := range seen {
		if n != 1 {
			t.Errorf("value %d was got %d times", v, n)
		}
	}
}

// hold keeps the loop from doing anything until release is called.
func hold(l *coop.Loop) (release func()) {
	held, c := make(chan struct{}), make(chan struct{})
	l.Post(func() { close(held); <-c })
	<-held
	return func() { close(c) }
}

// #53: through a channel's port, a value goes from hand to hand, whoever comes first.
func TestPortOfAChannel53(t *testing.T) {
	eachSide(t, func(t *testing.T, home *coop.Loop, s portSide, _ func()) {
		q := coop.NewQueue[int](0)
		p := q.Port(home)
		var got int
		put := portCall{
			func(g *coop.Greenlet) error { return p.Put(g, 7) },
			func(ctx context.Context) error { return p.PutContext(ctx, 7) },
		}
		get := portCall{
			func(g *coop.Greenlet) (err error) { got, err = p.Get(g); return err },
			func(ctx context.Context) (err error) { got, err = p.GetContext(ctx); return err },
		}
		for _, order := range [][2]portCall{{put, get}, {get, put}} {
			got = 0
			first := inLine(t, home, s, order[0])
			second := s.start(order[1])
			wantErr(t, first.result(t), nil)
			wantErr(t, second.result(t), nil)
			if got != 7 {
				t.Errorf("got %d", got)
			}
		}
	})
}

// #53, #65: one who asked and gave up before the home knew of it has not moved anything.
func TestPortAskedAndGaveUpAtOnce53(t *testing.T) {
	home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	q := coop.NewQueue[int](0)
	p := q.Port(home)
	putter := inLine(t, home, portSide{start: fromLoop(home)}, portCall{g: func(g *coop.Greenlet) error { return q.Put(g, 7) }})
	release := hold(home)
	getter := fromLoop(other)(portCall{g: func(g *coop.Greenlet) error { _, err := p.Get(g); return err }})
	flush(other) // it has asked
	getter.giveUp()
	wantErr(t, getter.result(t), coop.ErrKilled)
	release()
	flush(home)
	putter.stillWaits(t)
	do(home, func() { wantValues(t, drain(q), 7) })
	wantErr(t, putter.result(t), nil)
}

// #57, #65: what a putter who has given up held out is not there any more, though the home has not heard of it.
func TestPortPeekAtOneWhoGaveUp57(t *testing.T) {
	home := started(t, coop.LoopOptions{})
	q := coop.NewQueue[int](0)
	p := q.Port(home)
	putter := inLine(t, home, portSide{start: fromGoroutine}, portCall{ctx: func(ctx context.Context) error {
		return p.PutContext(ctx, 7)
	}})
	gaveUp := make(chan struct{})
	seen := make(chan bool, 2)
	home.Post(func() {
		_, ok := q.TryPeek()
		seen <- ok
		<-gaveUp
		_, ok = q.TryPeek()
		seen <- ok
	})
	if !<-seen {
		t.Error("did not see what is held out")
	}
	putter.giveUp()
	wantErr(t, putter.result(t), context.Canceled)
	close(gaveUp)
	if <-seen {
		t.Error("saw what was taken back")
	}
}

// A comparison that panics is reported by the loop, and leaves nobody without an answer.
func TestPortOfAQueueWhoseOrderPanics60(t *testing.T) {
	panics := make(chan error, 2)
	home := started(t, coop.LoopOptions{OnPanic: func(_ *coop.Loop, err *coop.PanicError) { panics <- err }})
	q := coop.NewPriorityQueue(2, func(a, b int) bool { panic(errBoom) })
	p := q.Port(home)
	ctx := context.Background()
	wantErr(t, p.PutContext(ctx, 1), nil) // nothing to compare with
	wantErr(t, p.PutContext(ctx, 2), nil)
	wantErr(t, <-panics, errBoom)
	w := inLine(t, home, portSide{start: fromGoroutine}, portCall{ctx: func(ctx context.Context) error {
		return p.PutContext(ctx, 3)
	}})
	do(home, func() { q.SetMax(9) })
	wantErr(t, <-panics, errBoom)
	wantErr(t, w.result(t), nil)
}

// Only the running greenlet may ask, also for what is at once to be had.
func TestPortOnlyTheRunningOneMayPark52(t *testing.T) {
	for name, thing := range portThings {
		t.Run(name, func(t *testing.T) {
			home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
			c, give, has, _, _ := thing(home)
			on(t, other, func(g *coop.Greenlet) error {
				sleeper := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
				g.Yield()
				wantErr(t, c.g(sleeper), coop.ErrNotRunning)
				return nil
			})
			flush(home)
			if n := places(home); n != 0 {
				t.Errorf("%d places left", n)
			}
			do(home, give)
			do(home, func() {
				if !has() {
					t.Error("lost")
				}
			})
		})
	}
}

// #52: two events between two sides, each waiting with little patience, over and over: no Set is lost, and
// none counts twice.
func TestPortStressEvents52(t *testing.T) {
	const rounds = 300
	home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	var there, back coop.Event // each is cleared by the one who waits for it
	turn := 0                  // whose it is; the events order the access
	play := func(me int, mine, theirs coop.EventPort, wait func(coop.EventPort, time.Duration) error) error {
		for n := range rounds {
			for try := 0; ; try++ {
				err := wait(mine, time.Duration(try%6)*20*time.Microsecond)
				if err == nil {
					break
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					return err
				}
			}
			mine.Clear()
			if turn != me {
				return fmt.Errorf("round %d of side %d: woken out of turn", n, me)
			}
			turn = 1 - me
			theirs.Set()
		}
		return nil
	}
	done := make(chan error, 2)
	go func() {
		done <- play(0, there.Port(home), back.Port(home), func(p coop.EventPort, d time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			return p.WaitContext(ctx)
		})
	}()
	other.Go(func(g *coop.Greenlet) error {
		done <- play(1, back.Port(home), there.Port(home), func(p coop.EventPort, d time.Duration) error {
			return g.WithTimeout(d, func() error { return p.Wait(g) })
		})
		return nil
	})
	there.Port(home).Set()
	for range 2 {
		wantErr(t, <-done, nil)
	}
}

// #52: a future is settled from elsewhere, once: who waits anywhere has the first outcome, those who come later too.
func TestPortOfAFuture52(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		settle func(p coop.FuturePort[int]) bool
		v      int
		err    error
	}{
		{"value", func(p coop.FuturePort[int]) bool { return p.Set(7) && p.Set(8) && p.Fail(broken) }, 7, nil},
		{"error", func(p coop.FuturePort[int]) bool { return p.Fail(broken) && p.Set(8) }, 0, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachSide(t, func(t *testing.T, home *coop.Loop, s portSide, _ func()) {
				p := coop.NewFuture[int]().Port(home)
				var v int
				c := portCall{
					func(g *coop.Greenlet) (err error) { v, err = p.Get(g); return err },
					func(ctx context.Context) (err error) { v, err = p.GetContext(ctx); return err },
				}
				w := inLine(t, home, s, c)
				if !tt.settle(p) {
					t.Error("refused")
				}
				for range 2 {
					if err := w.result(t); err != tt.err || v != tt.v {
						t.Errorf("got %d, %v", v, err)
					}
					w = s.start(c) // finds the outcome there
				}
				w.result(t)
				home.Close()
				if p.Set(1) || p.Fail(broken) {
					t.Error("a closed loop took an outcome")
				}
			})
		})
	}
}

// #52: many settle one future at once, and all who wait on either side agree on the outcome.
func TestPortStressFutures52(t *testing.T) {
	home, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	for range 200 {
		p := coop.NewFuture[int]().Port(home)
		got := make(chan int, 8)
		for i := range 4 {
			go p.Set(i)
			go func() {
				v, err := p.GetContext(context.Background())
				if err != nil {
					t.Error(err)
				}
				got <- v
			}()
			other.Go(func(g *coop.Greenlet) error {
				v, err := p.Get(g)
				got <- v
				return err
			})
		}
		first := <-got
		for range 7 {
			if v := <-got; v != first {
				t.Fatalf("one got %d, another %d", first, v)
			}
		}
	}
}
