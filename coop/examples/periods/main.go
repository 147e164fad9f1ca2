// Command periods is the basic example with other periods of sleep, and so with another order of
// coming back: coo, bar, doo.
//
//	go run ./coop/examples/periods
package main

import (
	"fmt"
	"log"
	"time"

	"greenroom/coop"
)

const unit = 100 * time.Millisecond

func main() {
	err := coop.Run(func(g *coop.Greenlet) error {
		return coop.JoinAll(g,
			g.Spawn(foo),
			g.Spawn(sleeper("bar", 2*unit)),
			g.Spawn(sleeper("coo", 1*unit)),
			g.Spawn(sleeper("doo", 3*unit)),
		)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// foo lets everyone else run, and goes on.
func foo(g *coop.Greenlet) error {
	fmt.Println("Running in foo")
	if err := g.Yield(); err != nil {
		return err
	}
	fmt.Println("Explicit context switch to foo again")
	return nil
}

// sleeper returns a greenlet's function that sleeps for d between its two lines.
func sleeper(name string, d time.Duration) func(*coop.Greenlet) error {
	return func(g *coop.Greenlet) error {
		fmt.Println("Explicit context to", name)
		if err := g.Sleep(d); err != nil {
			return err
		}
		fmt.Println("Implicit context switch back to", name)
		return nil
	}
}
