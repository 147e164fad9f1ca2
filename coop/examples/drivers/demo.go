package drivers

import (
	"fmt"
	"time"

	"greenroom/coop"
)

// Squares is a store of square numbers, behind one of the clients.
type Squares interface {
	// Fill stores the squares of 0 to n-1.
	Fill(g *coop.Greenlet, n int) error
	// Square asks for the square of n.
	Square(g *coop.Greenlet, n int) (int, error)
	// Close ends the connections.
	Close() error
}

var (
	_ Squares = (*MySQL)(nil)
	_ Squares = (*Memcache)(nil)
	_ Squares = (*Redis)(nil)
	_ Squares = (*HTTP)(nil)
)

// Ask has many greenlets ask each for the squares of 0 to each-1, beginning at different ones, and checks the answers.
// The first failure ends all.
func Ask(g *coop.Greenlet, s Squares, greenlets, each int) error {
	return g.Scope(func(sc *coop.Scope) error {
		for i := range greenlets {
			sc.Spawn(func(g *coop.Greenlet) error {
				for k := range each {
					n := (i + k) % each
					got, err := s.Square(g, n)
					if err != nil {
						return fmt.Errorf("the square of %d: %w", n, err)
					}
					if got != n*n {
						return fmt.Errorf("the square of %d is said to be %d", n, got)
					}
				}
				return nil
			})
		}
		return nil
	})
}

// Demo fills a store, has 1 000 greenlets ask it 10 000 times, and prints how long it took.
func Demo(g *coop.Greenlet, s Squares) error {
	const greenlets, each = 1000, 10
	if err := s.Fill(g, each); err != nil {
		return err
	}
	start := time.Now()
	if err := Ask(g, s, greenlets, each); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Printf("%d greenlets, %d queries, %v: %.0f queries/s\n",
		greenlets, greenlets*each, took.Round(time.Millisecond), greenlets*each/took.Seconds())
	return nil
}
