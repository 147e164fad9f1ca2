package drivers

import (
	"context"

	"greenroom/coop"
)

// A Limit bounds the calls that block on goroutines to the number of connections there are: more would only wait
// for each other, each with a goroutine. A greenlet that waits for its turn costs nothing but itself. Loop only.
type Limit struct{ turns *coop.Semaphore }

// NewLimit returns a limit of n calls at a time.
func NewLimit(n int) Limit { return Limit{coop.NewSemaphore(n)} }

// Do runs fn, which may block, on a goroutine, and parks g until it has returned. The context ends when g is killed
// or times out; g goes on at once then, and so may the next one, even if fn takes its time to give up: the
// client's own limit of connections holds.
func Do[T any](g *coop.Greenlet, l Limit, fn func(context.Context) (T, error)) (T, error) {
	if err := l.turns.Acquire(g); err != nil {
		var zero T
		return zero, err
	}
	defer l.turns.Release()
	ctx := g.Context() // unlike g itself it keeps its meaning when g goes on
	return coop.Await(g, func() (T, error) { return fn(ctx) })
}
