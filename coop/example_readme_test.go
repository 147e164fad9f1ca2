package coop_test

import (
	"fmt"
	"time"

	"greenroom/coop"
)

// The first thing that README.md shows of this package.
func Example() {
	coop.Run(func(g *coop.Greenlet) error {
		jobs := coop.NewQueue[string](0) // from hand to hand
		for _, name := range []string{"foo", "bar"} {
			g.Spawn(func(g *coop.Greenlet) error {
				for job := range jobs.All(g) { // parks until there is one
					fmt.Println(name, "does", job)
					g.Sleep(100 * time.Millisecond) // parks; the others go on
				}
				return nil
			})
		}
		defer jobs.Close()
		return g.WithTimeout(time.Second, func() error { return jobs.Put(g, "the dishes") })
	})
	// Output: foo does the dishes
}
