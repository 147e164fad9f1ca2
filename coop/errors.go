package coop

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Errors that parks and results are made of. Compare with [errors.Is].
var (
	// ErrKilled is what every park of a killed greenlet returns, and the result of a greenlet that
	// ended because of it. It is a normal end, not a failure. errors.Is(ErrKilled, context.Canceled).
	ErrKilled error = &sentinel{"greenlet killed", context.Canceled}

	// ErrTimeout is what every *TimeoutError is, whichever timeout it belongs to.
	// errors.Is(ErrTimeout, context.DeadlineExceeded).
	ErrTimeout error = &sentinel{"timed out", context.DeadlineExceeded}

	// ErrClosed is returned by what has been closed: a queue, a stream, a loop.
	ErrClosed = errors.New("closed")

	// ErrSelfJoin is returned to a greenlet that waits for its own end.
	ErrSelfJoin = errors.New("a greenlet cannot join itself")

	// ErrNotRunning is returned by a blocking call that was given a greenlet other than the running
	// one, or was made outside of any greenlet: only the running greenlet can park itself.
	ErrNotRunning = errors.New("only the running greenlet can park")

	// ErrNotReady is returned by a TryGet for which it is too early.
	ErrNotReady = errors.New("not ready")

	// ErrNoValue is returned for the value of a [Task] that was killed. It is not [ErrKilled], which would
	// say that the one who asked was killed.
	ErrNoValue = errors.New("task was killed before it had a value")

	// ErrOtherLoop is returned for what belongs to another loop: to a greenlet that would hold up its own
	// loop by waiting for it, and to one who adds a greenlet to a group of another loop.
	ErrOtherLoop = errors.New("belongs to another loop")

	// ErrOnLoop is returned to a greenlet or a callback that wants to wait for the end of its own loop.
	ErrOnLoop = errors.New("a loop cannot be closed from within")

	// ErrGoexit is the result of a greenlet that left through [runtime.Goexit].
	ErrGoexit = errors.New("greenlet called runtime.Goexit")
)

// sentinel is an error value that also is one of the context package's.
type sentinel struct {
	text string
	also error
}

func (e *sentinel) Error() string        { return e.text }
func (e *sentinel) Is(target error) bool { return target == e.also }

// A TimeoutError says that a scope opened by [Greenlet.WithTimeout] lasted too long. Its pointer is
// its identity: nested scopes of equal length have different ones. It is [ErrTimeout] and
// [context.DeadlineExceeded] to [errors.Is], and a timeout to the net package.
type TimeoutError struct {
	D time.Duration // what the scope was given
}

func (e *TimeoutError) Error() string   { return fmt.Sprintf("timed out after %v", e.D) }
func (e *TimeoutError) Timeout() bool   { return true }
func (e *TimeoutError) Temporary() bool { return true }
func (e *TimeoutError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// A PanicError is a panic that was caught where it could do no more harm: at the root of a greenlet,
// of a callback of the loop, or of a function given to [Await].
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // as [runtime/debug.Stack] prints it
}

// recovered makes an error of what recover returned. A panic that was caught before and passed on
// keeps its first stack.
func recovered(v any) *PanicError {
	if v == nil {
		return nil
	}
	if p, again := v.(*PanicError); again {
		return p
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
