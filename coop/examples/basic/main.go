// Command basic runs four greenlets that switch by yielding, by sleeping and by ending.
//
//	go run ./coop/examples/basic
//
// They are spawned in the order foo, bar, coo, doo and begin in that order, when main parks in
// JoinAll. foo yields: it goes on when the other three have had their turn. The others sleep, and come
// back in the order in which their sleeps end.
package main

import (
	"fmt"
	"log"
	"time"

	"greenroom/coop"
)

func main() {
	err := coop.Run(func(g *coop.Greenlet) error {
		foo := g.Spawn(func(g *coop.Greenlet) error {
			fmt.Println("Running in foo")
			if err := g.Yield(); err != nil {
				return err
			}
			fmt.Println("Explicit context switch to foo again")
			return nil
		})
		bar := g.Spawn(func(g *coop.Greenlet) error {
			fmt.Println("Explicit context to bar")
			if err := g.Sleep(300 * time.Millisecond); err != nil {
				return err
			}
			fmt.Println("Implicit context switch back to bar")
			return nil
		})
		coo := g.Spawn(func(g *coop.Greenlet) error {
			fmt.Println("Explicit context to coo")
			if err := g.Sleep(200 * time.Millisecond); err != nil {
				return err
			}
			fmt.Println("Implicit context switch back to coo")
			return nil
		})
		doo := g.Spawn(func(g *coop.Greenlet) error {
			fmt.Println("Explicit context to doo")
			if err := g.Sleep(100 * time.Millisecond); err != nil {
				return err
			}
			fmt.Println("Implicit context switch back to doo")
			return nil
		})
		return coop.JoinAll(g, foo, bar, coo, doo)
	})
	if err != nil {
		log.Fatal(err)
	}
}
