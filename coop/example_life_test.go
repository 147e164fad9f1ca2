package coop_test

import (
	"errors"
	"fmt"
	"time"

	"greenroom/coop"
)

// onFakeClock runs an example in which hours pass at once.
func onFakeClock(fn func(g *coop.Greenlet) error) {
	if err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, fn); err != nil {
		fmt.Println(err)
	}
}

func ExampleGreenlet_SpawnLater() {
	onFakeClock(func(g *coop.Greenlet) error {
		reminder := g.SpawnLater(time.Hour, func(*coop.Greenlet) error { fmt.Println("an hour has passed"); return nil })
		never := g.SpawnLater(2*time.Hour, func(*coop.Greenlet) error { fmt.Println("never"); return nil })
		never.Kill()
		return coop.JoinAll(g, reminder, never)
	})
	// Output: an hour has passed
}

func ExampleGreenlet_Spawned() {
	onFakeClock(func(g *coop.Greenlet) error {
		c := g.Spawn(func(*coop.Greenlet) error { return nil })
		fmt.Println(c.Spawned().Function, c.Parent() == g)
		return c.Join(g)
	})
	// Output: greenroom/coop_test.ExampleGreenlet_Spawned.func1 true
}

func ExampleSpawnTask() {
	onFakeClock(func(g *coop.Greenlet) error {
		half := coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return 21, g.Sleep(time.Second) })
		other := coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return half.Get(g) })
		a, err := half.Get(g)
		if err != nil {
			return err
		}
		b, err := other.Get(g)
		fmt.Println(a + b)
		return err
	})
	// Output: 42
}

// A kill with an error of one's own tells the victim why.
func ExampleGreenlet_KillWith() {
	onFakeClock(func(g *coop.Greenlet) error {
		c := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Sleep(time.Hour)
			fmt.Println("ended:", err)
			return err
		})
		g.Yield()
		c.KillWith(errors.New("configuration has changed"))
		fmt.Println("joined:", c.Join(g))
		return nil
	})
	// Output:
	// ended: configuration has changed
	// joined: configuration has changed
}

// Stop kills and waits. A clean-up that has to park revives the greenlet first, and bounds its time.
func ExampleGreenlet_Stop() {
	onFakeClock(func(g *coop.Greenlet) error {
		worker := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Sleep(coop.Forever)
			g.Revive()
			return errors.Join(err, g.AtMost(time.Second, func() error {
				fmt.Println("saying goodbye")
				return g.Sleep(100 * time.Millisecond)
			}))
		})
		g.Yield()
		err := worker.Stop(g)
		fmt.Println("stopped after", g.Loop().Now())
		return err
	})
	// Output:
	// saying goodbye
	// stopped after 100ms
}

func ExampleKillAll() {
	onFakeClock(func(g *coop.Greenlet) error {
		a := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		b := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		g.Yield()
		err := coop.KillAll(g, a, b) // coop.Kill(a, b) would not wait
		fmt.Println(a.Ended(), b.Ended(), g.Loop().Now())
		return err
	})
	// Output: true true 0s
}

func ExampleGreenlet_Link() {
	onFakeClock(func(g *coop.Greenlet) error {
		c := g.Spawn(func(g *coop.Greenlet) error { return errors.New("out of paper") })
		c.SetName("printer")
		c.Link(func(c *coop.Greenlet) { fmt.Println(c.Name(), "is over") })
		c.LinkSuccess(func(c *coop.Greenlet) { fmt.Println("it went well") })
		c.LinkFailure(func(c *coop.Greenlet) { fmt.Println("it failed:", c.Result()) })
		return g.Sleep(time.Second)
	})
	// Output:
	// printer is over
	// it failed: out of paper
}

func ExampleFuture() {
	onFakeClock(func(g *coop.Greenlet) error {
		answer := coop.NewFuture[int]()
		reader := g.Spawn(func(g *coop.Greenlet) error {
			v, err := answer.Get(g)
			fmt.Println("got", v)
			return err
		})
		fmt.Println(answer.Set(42), answer.Set(43))
		return reader.Join(g)
	})
	// Output:
	// true false
	// got 42
}

// Tasks as they come in. Things of different types are waited for as coop.WaitEach[coop.Waitable](…).
func ExampleWaitEach() {
	onFakeClock(func(g *coop.Greenlet) error {
		fetch := func(name string, d time.Duration) *coop.Task[string] {
			return coop.SpawnTask(g, func(g *coop.Greenlet) (string, error) { return name, g.Sleep(d) })
		}
		tasks := []*coop.Task[string]{fetch("slow", 3*time.Second), fetch("fast", time.Second), fetch("medium", 2*time.Second)}
		for task := range coop.WaitEach(g, tasks...) {
			name, err := task.Get(g)
			if err != nil {
				return err
			}
			fmt.Println(g.Loop().Now(), name)
		}
		return g.Err() // nil unless the loop was left because of a kill or a timeout
	})
	// Output:
	// 1s fast
	// 2s medium
	// 3s slow
}

func ExampleWaitAny() {
	onFakeClock(func(g *coop.Greenlet) error {
		var stop coop.Event
		work := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Minute) })
		g.SpawnLater(time.Second, func(*coop.Greenlet) error { stop.Set(); return nil })
		first, err := coop.WaitAny[coop.Waitable](g, work, &stop)
		fmt.Println("stopped early:", first == &stop)
		return err
	})
	// Output: stopped early: true
}

// The first two of three, and what is there when the time is up.
func ExampleJoinN() {
	onFakeClock(func(g *coop.Greenlet) error {
		worker := func(d time.Duration) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(d) })
		}
		gs := []*coop.Greenlet{worker(3 * time.Second), worker(time.Second), worker(2 * time.Second)}
		two, err := coop.JoinN(g, 2, gs...)
		if err != nil {
			return err
		}
		fmt.Println(two[0] == gs[1], two[1] == gs[2], g.Loop().Now())
		var over []*coop.Greenlet
		err = g.AtMost(500*time.Millisecond, func() (err error) { over, err = coop.JoinN(g, 0, gs...); return err })
		fmt.Println(len(over), "of", len(gs), "after", g.Loop().Now())
		return err
	})
	// Output:
	// true true 2s
	// 2 of 3 after 2.5s
}

// Nothing that a scope starts outlives it, and the first failure ends the rest.
func ExampleGreenlet_Scope() {
	onFakeClock(func(g *coop.Greenlet) error {
		err := g.Scope(func(s *coop.Scope) error {
			s.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(time.Hour)
				fmt.Println("reader:", err)
				return err
			})
			s.Spawn(func(g *coop.Greenlet) error {
				g.Sleep(time.Second)
				return errors.New("writer: connection lost")
			})
			return nil
		})
		fmt.Println(err)
		return nil
	})
	// Output:
	// reader: greenlet killed
	// writer: connection lost
}

func ExampleGreenlet_Idle() {
	onFakeClock(func(g *coop.Greenlet) error {
		tidy := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Idle()
			fmt.Println("tidying up")
			return err
		})
		busy := g.Spawn(func(g *coop.Greenlet) error {
			for range 3 {
				fmt.Println("working")
				g.Yield()
			}
			return nil
		})
		return coop.JoinAll(g, tidy, busy)
	})
	// Output:
	// working
	// working
	// working
	// tidying up
}

// tenant is what a request is for. Greenlets that serve parts of it have it too.
var tenant = coop.Local[string]{Inherit: true}

func ExampleLocal() {
	onFakeClock(func(g *coop.Greenlet) error {
		serve := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				tenant.Set(g, name)
				return g.Spawn(func(g *coop.Greenlet) error {
					name, _ := tenant.Get(g)
					fmt.Println("a query for", name)
					return nil
				}).Join(g)
			})
		}
		return coop.JoinAll(g, serve("red"), serve("blue"))
	})
	// Output:
	// a query for red
	// a query for blue
}

// A timeout that is held can be extended as long as there is progress.
func ExampleGreenlet_StartTimeout() {
	onFakeClock(func(g *coop.Greenlet) error {
		t := g.StartTimeout(2 * time.Second)
		defer t.Close()
		for part := 1; ; part++ {
			if err := g.Sleep(time.Duration(part) * 800 * time.Millisecond); t.Caused(err) {
				fmt.Println("part", part, "was too slow")
				return nil
			} else if err != nil {
				return err
			}
			t.Reset(2 * time.Second)
		}
	})
	// Output: part 3 was too slow
}

func ExampleGreenlet_AtMost() {
	onFakeClock(func(g *coop.Greenlet) error {
		n := 0
		err := g.AtMost(time.Minute, func() error {
			for {
				if err := g.Sleep(25 * time.Second); err != nil {
					return err
				}
				n++
			}
		})
		fmt.Println(n, err)
		return nil
	})
	// Output: 2 <nil>
}

func ExampleWithin() {
	onFakeClock(func(g *coop.Greenlet) error {
		v, err := coop.Within(g, time.Second, "the default", func() (string, error) {
			return "the slow answer", g.Sleep(time.Minute)
		})
		fmt.Println(v, err)
		return nil
	})
	// Output: the default <nil>
}

func ExampleGreenlet_WithTimeoutError() {
	errTooSlow := errors.New("the printer is too slow")
	onFakeClock(func(g *coop.Greenlet) error {
		return g.WithTimeoutError(time.Second, errTooSlow, func() error { return g.Sleep(time.Minute) })
	})
	// Output: the printer is too slow
}

// Two of three different things; what is ready already comes first.
func ExampleWait() {
	onFakeClock(func(g *coop.Greenlet) error {
		timer := g.SpawnLater(time.Second, func(*coop.Greenlet) error { return nil })
		var never coop.Event
		done := coop.NewFuture[string]()
		done.Set("ready from the start")
		ready, err := coop.Wait[coop.Waitable](g, 2, &never, timer, done)
		fmt.Println(ready[0] == done, ready[1] == timer, g.Loop().Now())
		return err
	})
	// Output: true true 1s
}

func ExampleKill() {
	onFakeClock(func(g *coop.Greenlet) error {
		c := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		coop.Kill(c)
		fmt.Println("told, ended:", c.Ended())
		err := c.Join(g)
		fmt.Println("joined, ended:", c.Ended(), "successfully:", c.Successful())
		return err
	})
	// Output:
	// told, ended: false
	// joined, ended: true successfully: true
}

// A future can stand for one of several tasks that may provide a value.
func ExampleTask_Into() {
	onFakeClock(func(g *coop.Greenlet) error {
		var first coop.Future[string]
		for _, d := range []time.Duration{2 * time.Second, time.Second} {
			coop.SpawnTask(g, func(g *coop.Greenlet) (string, error) {
				return fmt.Sprint("after ", d), g.Sleep(d)
			}).Into(&first)
		}
		v, err := first.Get(g)
		fmt.Println(v)
		return err
	})
	// Output: after 1s
}

func ExampleFuture_Link() {
	onFakeClock(func(g *coop.Greenlet) error {
		var answer coop.Future[int]
		answer.Link(g.Loop(), func(f *coop.Future[int]) {
			v, _ := f.TryGet()
			fmt.Println("the answer is", v)
		})
		answer.Set(42)
		fmt.Println("set")
		return g.Yield()
	})
	// Output:
	// set
	// the answer is 42
}

// The first answer is enough. Without the Kill, leaving the scope would wait for the others.
func ExampleScope_Kill() {
	onFakeClock(func(g *coop.Greenlet) error {
		return g.Scope(func(s *coop.Scope) error {
			var servers []*coop.Task[string]
			for i, d := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second} {
				servers = append(servers, coop.SpawnTask(s, func(g *coop.Greenlet) (string, error) {
					return fmt.Sprint("server ", i), g.Sleep(d)
				}))
			}
			first, err := coop.WaitAny(g, servers...)
			if err != nil {
				return err
			}
			s.Kill()
			name, err := first.Get(g)
			fmt.Println(name, "answered after", g.Loop().Now())
			return err
		})
	})
	// Output: server 1 answered after 1s
}
