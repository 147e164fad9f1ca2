package coop_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/coop"
)

func ExampleRun() {
	err := coop.Run(func(g *coop.Greenlet) error {
		fmt.Println("in a greenlet")
		return errors.New("what it returns")
	})
	fmt.Println(err)
	// Output:
	// in a greenlet
	// what it returns
}

// Spawn does not switch. The new greenlets begin when the one that spawned them parks.
func ExampleGreenlet_Spawn() {
	coop.Run(func(g *coop.Greenlet) error {
		ping := g.Spawn(func(g *coop.Greenlet) error {
			for range 2 {
				fmt.Println("ping")
				if err := g.Yield(); err != nil {
					return err
				}
			}
			return nil
		})
		pong := g.Spawn(func(g *coop.Greenlet) error {
			for range 2 {
				fmt.Println("pong")
				if err := g.Yield(); err != nil {
					return err
				}
			}
			return nil
		})
		fmt.Println("spawned")
		return coop.JoinAll(g, ping, pong)
	})
	// Output:
	// spawned
	// ping
	// pong
	// ping
	// pong
}

// JoinAll waits for all and returns the error of the one that failed first.
func ExampleJoinAll() {
	coop.Run(func(g *coop.Greenlet) error {
		work := func(d time.Duration, result error) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				if err := g.Sleep(d); err != nil {
					return err
				}
				return result
			})
		}
		err := coop.JoinAll(g,
			work(30*time.Millisecond, errors.New("failed later")),
			work(10*time.Millisecond, errors.New("failed first")),
			work(20*time.Millisecond, nil),
		)
		fmt.Println(err)
		return nil
	})
	// Output: failed first
}

// On a fake clock hours pass at once, and in the same order each time.
func ExampleGreenlet_Sleep() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		sleeper := func(name string, d time.Duration) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(d)
				fmt.Println(g.Loop().Now(), name)
				return err
			})
		}
		return coop.JoinAll(g,
			sleeper("the long one", 3*time.Hour),
			sleeper("the first of two", 2*time.Hour),
			sleeper("the short one", time.Hour),
			sleeper("the second of two", 2*time.Hour),
		)
	})
	// Output:
	// 1h0m0s the short one
	// 2h0m0s the first of two
	// 2h0m0s the second of two
	// 3h0m0s the long one
}

func ExampleGreenlet_WithTimeout() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		answers := coop.NewQueue[string](1)
		var answer string
		err := g.WithTimeout(2*time.Second, func() (err error) {
			answer, err = answers.Get(g)
			return err
		})
		if errors.Is(err, coop.ErrTimeout) {
			answer = "no answer"
		}
		fmt.Println(answer)
		fmt.Println(err)
		return nil
	})
	// Output:
	// no answer
	// timed out after 2s
}

// The inner scope is over first here, and its error can be told from the outer one's.
func ExampleGreenlet_WithTimeout_nested() {
	coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		err := g.WithTimeout(3*time.Second, func() error {
			for try := range 5 {
				err := g.WithTimeout(time.Second, func() error { return g.Sleep(time.Hour) })
				var te *coop.TimeoutError
				if !errors.As(err, &te) || te.D != time.Second {
					return err
				}
				fmt.Println("try", try, "was too slow")
			}
			return nil
		})
		fmt.Println("all of it:", err)
		return nil
	})
	// Output:
	// try 0 was too slow
	// try 1 was too slow
	// all of it: timed out after 3s
}

// A queue with a limit makes its producer wait for its consumer.
func ExampleQueue() {
	coop.Run(func(g *coop.Greenlet) error {
		words := coop.NewQueue[string](2)
		g.Spawn(func(g *coop.Greenlet) error {
			defer words.Close() // ends the range below
			for word := range strings.FieldsSeq("one two three four") {
				if err := words.Put(g, word); err != nil {
					return err
				}
			}
			return nil
		})
		for word := range words.All(g) {
			fmt.Println(word)
		}
		return nil
	})
	// Output:
	// one
	// two
	// three
	// four
}

// Set wakes everyone who waits, in the order in which they began to.
func ExampleEvent() {
	coop.Run(func(g *coop.Greenlet) error {
		var begin coop.Event
		runner := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				if err := begin.Wait(g); err != nil {
					return err
				}
				fmt.Println(name, "runs")
				return nil
			})
		}
		a, b := runner("a"), runner("b")
		if err := g.Yield(); err != nil {
			return err
		}
		begin.Set()
		fmt.Println("set")
		return coop.JoinAll(g, a, b)
	})
	// Output:
	// set
	// a runs
	// b runs
}

// Await lets a function block without holding up the other greenlets.
func ExampleAwait() {
	coop.Run(func(g *coop.Greenlet) error {
		found := make(chan string, 1)
		g.Spawn(func(g *coop.Greenlet) error {
			fmt.Println("meanwhile")
			found <- "user 7"
			return nil
		})
		user, err := coop.Await(g, func() (string, error) { return <-found, nil })
		fmt.Println(user, err)
		return nil
	})
	// Output:
	// meanwhile
	// user 7 <nil>
}

// A kill is delivered by the park in which the greenlet is. It can still clean up.
func ExampleGreenlet_Kill() {
	coop.Run(func(g *coop.Greenlet) error {
		worker := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Sleep(time.Hour)
			fmt.Println("the sleep ended:", err)
			return err
		})
		if err := g.Yield(); err != nil {
			return err
		}
		worker.Kill()
		fmt.Println("join:", worker.Join(g)) // being killed is no failure
		fmt.Println("result:", worker.Result())
		return nil
	})
	// Output:
	// the sleep ended: greenlet killed
	// join: <nil>
	// result: greenlet killed
}

// A server has one loop a core, and brings work to them from its goroutines.
func ExampleLoops() {
	loops, err := coop.NewLoops(2, coop.LoopOptions{Name: "worker"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loops.Close()

	results := make(chan string, 2) // room for all: a send that waits would hold the loop
	for _, l := range loops.All() {
		l.Go(func(g *coop.Greenlet) error {
			results <- "from " + g.Loop().Name()
			return nil
		})
	}
	fmt.Println(<-results)
	fmt.Println(<-results)
	// Unordered output:
	// from worker-0
	// from worker-1
}
