package coop

import (
	"errors"
	"runtime"
)

// A Rester handles the values of a queue in a greenlet that rests between them; see [Queue.Rest].
type Rester[T any] interface {
	// Got handles a value, and may park. An error ends the rest, and so does another Rest, whose values are
	// then the greenlet's.
	Got(g *Greenlet, v T) error

	// Over is called when no more values come, as a deferred function would be. err is [ErrClosed] when the queue is
	// closed and empty, or says that g was killed or a timeout has expired, or is Got's. It is nil when Got has panicked or
	// gone on to another Rest, or the loop ends g by force. What Over returns is the greenlet's result.
	Over(g *Greenlet, err error) error
}

// errRest is what a greenlet's function returns in order to rest. It never gets out of the package, unless
// somebody returns it who has not been given it.
var errRest = errors.New("coop: what Queue.Rest returns is to be returned, by the function that the greenlet was spawned with")

type restState uint8

const (
	restless    restState = iota // fn is what it was spawned with
	restAsked                    // fn is a rest's, and is to be called
	restAwake                    // fn is a rest's, and runs
	restResting                  // fn is a rest's, and is called on a coroutine when the wait is over
)

// Rest has g go on with the values of the queue, one after another, and rest in between: it waits as in
// [Queue.Get], but without a stack, which is most of what a parked greenlet costs. It is still the same greenlet, with
// its name, links, joiners and [Local] values. When a value comes, it is handled on a coroutine that the loop keeps
// for the purpose. What the greenlet has to remember between values is in r, since it has no variables.
//
// It is for the running greenlet, as the last thing that its function does:
//
//	l.Spawn(func(g *coop.Greenlet) error {
//		…
//		return q.Rest(g, &counter{})
//	})
//
// The function's deferred calls run before the first value is taken; so WithTimeout, Scope and the function of a [Task] cannot
// reach around a rest. A [Timeout] that was started and not closed can: it ends the rest.
func (q *Queue[T]) Rest(g *Greenlet, r Rester[T]) error {
	if g.loop.current != g {
		return ErrNotRunning
	}
	g.fn = func(g *Greenlet) error { return q.turn(g, r) }
	g.rest = restAsked
	return errRest
}

// turn handles the values that there are, on a coroutine, from its beginning.
func (q *Queue[T]) turn(g *Greenlet, r Rester[T]) (err error) {
	woken := g.rest == restResting
	g.rest = restAwake
	over := true
	defer func() {
		if !over {
			return
		}
		if next := r.Over(g, hideRest(err)); err != errRest {
			err = next
		}
	}()
	if g.doomed {
		runtime.Goexit()
	}
	if woken {
		if g.err != nil {
			return g.err
		}
		q.promised--
		if err := q.got(g, r, q.pop()); err != nil {
			return err
		}
	}
	for {
		v, ok := q.TryGet()
		if !ok {
			break
		}
		if err := q.got(g, r, v); err != nil {
			return err
		}
	}
	if q.closed {
		return ErrClosed
	}
	if err := g.enter(); err != nil {
		return err
	}
	q.getters.push(g)
	over = false
	g.rest, g.why = restResting, ParkedRest
	g.state, g.since = parked, g.loop.now
	return errRest
}

func (q *Queue[T]) got(g *Greenlet, r Rester[T], v T) error {
	err := r.Got(g, v)
	if g.rest == restAsked {
		return errRest // also if Got has forgotten to return it: this rest's place is taken
	}
	return err
}

// hideRest keeps what is the package's own from a Rester.
func hideRest(err error) error {
	if err == errRest {
		return nil
	}
	return err
}
