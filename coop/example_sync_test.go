package coop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/coop"
)

// The most urgent first; equals in the order in which they came.
func ExampleNewPriorityQueue() {
	type alarm struct {
		level int
		text  string
	}
	q := coop.NewPriorityQueue(-1, func(a, b alarm) bool { return a.level > b.level })
	q.TryPut(alarm{1, "disk nearly full"})
	q.TryPut(alarm{3, "pump stopped"})
	q.TryPut(alarm{3, "valve stuck"})
	for a, ok := q.TryGet(); ok; a, ok = q.TryGet() {
		fmt.Println(a.text)
	}
	// Output:
	// pump stopped
	// valve stuck
	// disk nearly full
}

func ExampleNewLIFOQueue() {
	q := coop.NewLIFOQueue[string](-1)
	q.TryPut("old")
	q.TryPut("new")
	fmt.Println(q.TryGet())
	// Output: new true
}

// Join waits until what was put has been dealt with, not only taken.
func ExampleJoinableQueue() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		jobs := coop.NewJoinableQueue(coop.NewQueue[string](10))
		for range 2 {
			g.Spawn(func(g *coop.Greenlet) error {
				for job := range jobs.All(g) {
					if err := g.Sleep(time.Second); err != nil {
						return err
					}
					fmt.Println("done:", job)
					jobs.TaskDone()
				}
				return nil
			})
		}
		for job := range strings.FieldsSeq("wash dry iron") {
			if err := jobs.Put(g, job); err != nil {
				return err
			}
		}
		err := jobs.Join(g)
		fmt.Println("all done after", g.Loop().Now())
		return err
	})
	// Output:
	// done: wash
	// done: dry
	// done: iron
	// all done after 2s
}

// At most two at a time, in the order in which they came.
func ExampleSemaphore() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		doors := coop.NewSemaphore(2)
		var guests coop.Group
		for i := range 3 {
			guests.Spawn(g, func(g *coop.Greenlet) error {
				return doors.With(g, func() error {
					fmt.Println(g.Loop().Now(), "guest", i)
					return g.Sleep(time.Second)
				})
			})
		}
		return guests.Join(g)
	})
	// Output:
	// 0s guest 0
	// 0s guest 1
	// 1s guest 2
}

func ExampleBoundedSemaphore() {
	s := coop.NewBoundedSemaphore(1)
	fmt.Println(s.TryAcquire(), s.TryAcquire())
	fmt.Println(s.Release())
	fmt.Println(s.Release())
	// Output:
	// true false
	// <nil>
	// semaphore released more often than acquired
}

// A function that locks may call another that does.
func ExampleRLock() {
	coop.Run(func(g *coop.Greenlet) error {
		var lock coop.RLock
		save := func(g *coop.Greenlet) error {
			return lock.With(g, func() error { fmt.Println("saved"); return nil })
		}
		return lock.With(g, func() error {
			fmt.Println("changed")
			return save(g)
		})
	})
	// Output:
	// changed
	// saved
}

// Join waits for all and returns what failed first.
func ExampleGroup() {
	coop.Run(func(g *coop.Greenlet) error {
		var jobs coop.Group
		jobs.Spawn(g, func(g *coop.Greenlet) error { return g.Yield() })
		jobs.Spawn(g, func(*coop.Greenlet) error { return errors.New("out of paper") })
		fmt.Println(jobs.Len(), "jobs")
		fmt.Println(jobs.Join(g))
		return nil
	})
	// Output:
	// 2 jobs
	// out of paper
}

// Spawn waits while the pool is full.
func ExamplePool() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		pool := coop.NewPool(2)
		for i := range 4 {
			_, err := pool.Spawn(g, func(g *coop.Greenlet) error {
				fmt.Println(g.Loop().Now(), "visitor", i)
				return g.Sleep(time.Minute)
			})
			if err != nil {
				return err
			}
		}
		return pool.Join(g)
	})
	// Output:
	// 0s visitor 0
	// 0s visitor 1
	// 1m0s visitor 2
	// 1m0s visitor 3
}

func ExampleMap() {
	coop.Run(func(g *coop.Greenlet) error {
		lengths, err := coop.Map(g, coop.NewPool(8), strings.Fields("one three seventeen"),
			func(g *coop.Greenlet, word string) (int, error) { return len(word), g.Yield() })
		fmt.Println(lengths, err)
		return err
	})
	// Output: [3 5 9] <nil>
}

// The results come in order while the next values are worked on.
func ExampleIMap() {
	fetch := func(g *coop.Greenlet, url string) (int, error) {
		if url == "/lost" {
			return 404, errors.New("not found")
		}
		return 200, g.Sleep(time.Second)
	}
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		pool := coop.NewPool(64)
		urls := strings.FieldsSeq("/ /lost /about")
		for r := range coop.IMap(g, pool, urls, fetch) {
			fmt.Println(r.In, r.Value, r.Err)
		}
		return g.Err()
	})
	// Output:
	// / 200 <nil>
	// /lost 404 not found
	// /about 200 <nil>
}

func ExampleIMapUnordered() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		names := strings.FieldsSeq("tortoise hare")
		run := func(g *coop.Greenlet, name string) (int, error) {
			d := len(name)
			return d, g.Sleep(time.Duration(d) * time.Second)
		}
		for r := range coop.IMapUnordered(g, coop.NewPool(2), names, run) {
			fmt.Println(r.In, "after", r.Value)
		}
		return g.Err()
	})
	// Output:
	// hare after 4
	// tortoise after 8
}

// A worker may ask its own pool for help.
func ExampleApply() {
	coop.Run(func(g *coop.Greenlet) error {
		pool := coop.NewPool(1)
		n, err := coop.Apply(g, pool, func(g *coop.Greenlet) (int, error) {
			half, err := coop.Apply(g, pool, func(*coop.Greenlet) (int, error) { return 21, nil })
			return 2 * half, err
		})
		fmt.Println(n, err)
		return err
	})
	// Output: 42 <nil>
}

// A goroutine feeds a queue that lives on a loop.
func ExampleQueue_Port() {
	coop.Run(func(g *coop.Greenlet) error {
		lines := coop.NewQueue[string](1)
		port := lines.Port(g.Loop())
		go func() {
			defer port.Close()
			for line := range strings.SplitSeq("some\nlines\nfrom elsewhere", "\n") {
				if err := port.PutContext(context.Background(), line); err != nil {
					return
				}
			}
		}()
		for line := range lines.All(g) {
			fmt.Println(line)
		}
		return nil
	})
	// Output:
	// some
	// lines
	// from elsewhere
}

func ExampleEvent_Port() {
	coop.Run(func(g *coop.Greenlet) error {
		var ready coop.Event
		port := ready.Port(g.Loop())
		go port.Set()
		err := ready.Wait(g)
		fmt.Println("ready", err)
		return err
	})
	// Output: ready <nil>
}

// A goroutine brings a value that a greenlet waits for.
func ExampleFuture_Port() {
	coop.Run(func(g *coop.Greenlet) error {
		var answer coop.Future[int]
		port := answer.Port(g.Loop())
		go port.Set(42)
		v, err := answer.Get(g)
		fmt.Println(v, err)
		return err
	})
	// Output: 42 <nil>
}

// A goroutine takes its turn among the greenlets of a loop.
func ExampleSemaphore_Port() {
	coop.Run(func(g *coop.Greenlet) error {
		turn := coop.NewSemaphore(0)
		port := turn.Port(g.Loop())
		var done coop.Event
		finish := done.Port(g.Loop())
		go func() {
			if port.AcquireContext(context.Background()) == nil {
				fmt.Println("the goroutine's turn")
				port.Release()
			}
			finish.Set()
		}()
		turn.Release()
		return done.Wait(g)
	})
	// Output: the goroutine's turn
}
