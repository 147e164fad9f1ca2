package coop_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// A loop that Run drives can be closed by another goroutine, at any moment.
func TestCloseOfALoopThatRunDrives(t *testing.T) {
	hangs(t)
	for range 50 {
		before := openDescriptorsOrZero()
		var panics atomic.Int32
		var closed chan error
		o := coop.LoopOptions{OnPanic: func(_ *coop.Loop, p *coop.PanicError) { panics.Add(1); t.Error(p) }}
		err := coop.RunWith(o, func(g *coop.Greenlet) error {
			closed = make(chan error, 2)
			for range cap(closed) {
				go func() { closed <- g.Loop().Close() }()
			}
			return g.Sleep(time.Hour)
		})
		wantErr(t, err, coop.ErrKilled)
		for range cap(closed) {
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
		if after := openDescriptorsOrZero(); after != before {
			t.Fatalf("%d descriptors before, %d after", before, after)
		}
	}
}

// What was accepted runs, however many goroutines go on posting while the loop closes, and even if a job
// that posts itself for ever lets it close by force only.
func TestEveryAcceptedPostRuns(t *testing.T) {
	hangs(t)
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var accepted, ran atomic.Int64
	var again func()
	again = func() {
		ran.Add(1)
		if l.Post(again) {
			accepted.Add(1)
		}
	}
	ran.Add(-1) // the first one was not posted
	again()
	l.Start()
	const posters = 4
	over := make(chan struct{})
	for range posters {
		go func() {
			for l.Post(func() { ran.Add(1) }) {
				accepted.Add(1)
			}
			over <- struct{}{}
		}()
	}
	await(t, "posts run", func() bool { return ran.Load() > 1000 })
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range posters {
		<-over
	}
	if a, r := accepted.Load(), ran.Load(); a != r {
		t.Errorf("%d were accepted, %d ran", a, r)
	}
}

// The same when the loop has to be closed by force, when its patience is at an end, because of a greenlet that
// will not end, while jobs panic, end the loop's goroutine and spawn.
func TestEveryAcceptedPostRunsInAForcedClose(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{OnFailure: quiet, OnPanic: func(*coop.Loop, *coop.PanicError) {}})
	on(t, l, func(g *coop.Greenlet) error {
		g.Spawn(func(g *coop.Greenlet) error {
			for {
				g.Sleep(time.Hour)
			}
		})
		return g.Yield()
	})
	var accepted, ran atomic.Int64
	const posters = 4
	over := make(chan struct{})
	for range posters {
		go func() {
			for i := 0; ; i++ {
				if !l.Post(func() {
					ran.Add(1)
					switch i % 1000 {
					case 1:
						panic("job")
					case 2:
						runtime.Goexit()
					case 3:
						l.Spawn(func(g *coop.Greenlet) error { return g.Sleep(1) })
					}
				}) {
					break
				}
				accepted.Add(1)
				if i%16 == 0 {
					runtime.Gosched() // a backlog of megabytes proves no more
				}
			}
			over <- struct{}{}
		}()
	}
	await(t, "posts run", func() bool { return ran.Load() > 1000 })
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range posters {
		<-over
	}
	if a, r := accepted.Load(), ran.Load(); a != r {
		t.Errorf("%d were accepted, %d ran", a, r)
	}
}

// A job that posts itself for ever keeps a loop from closing in good order; then it closes by force, and
// one that joins across loops still hears of the end.
func TestCloseByForceStillTellsOtherLoops(t *testing.T) {
	hangs(t)
	busy, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	target := busy.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
	var again func()
	again = func() { busy.Post(again) }
	busy.Post(again)
	busy.Start()

	here := started(t, coop.LoopOptions{})
	joined := make(chan error, 1)
	go func() {
		for busy.Post(func() {}) { // join at every stage of the end
			if here.Stats().Greenlets > 500 {
				runtime.Gosched()
				continue
			}
			here.Go(func(g *coop.Greenlet) error { return target.Join(g) })
		}
		here.Go(func(g *coop.Greenlet) error { joined <- target.Join(g); return nil })
	}()
	if err := busy.Close(); err != nil {
		t.Error(err)
	}
	if err := <-joined; err != nil {
		t.Error(err)
	}
	await(t, "all joiners are told", func() bool { return here.Stats().Greenlets == 0 })
}

func TestMisuseOfATimerIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		misuse func(l *coop.Loop)
		says   string
	}{
		"reset without init": {func(*coop.Loop) { new(coop.Timer).Reset(1) }, "without Init"},
		"init while armed":   {func(l *coop.Loop) { l.AfterFunc(1, func() {}).Init(l, func() {}) }, "armed"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				defer func() {
					if said, _ := recover().(string); !strings.Contains(said, c.says) {
						t.Errorf("said %q", said)
					}
				}()
				c.misuse(g.Loop())
				return nil
			})
		})
	}
}

func TestDeadlineOfAVeryLongTimeout(t *testing.T) {
	runWith(t, coop.LoopOptions{}, func(g *coop.Greenlet) error {
		return g.WithTimeout(coop.Forever-1, func() error {
			if at, ok := g.Deadline(); !ok || time.Until(at) < 200*365*24*time.Hour {
				t.Errorf("deadline %v, %v", at, ok)
			}
			return g.Yield()
		})
	})
}
