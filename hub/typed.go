package hub

import (
	"errors"
	"fmt"
	"reflect"
)

// errNoHandler: a nil function, or a zero Handler.
var errNoHandler = errors.New("a nil handler")

// Handler is a line of [Events] that the compiler has checked: it decodes and calls without reflection. Make one
// with [On] or [Reply].
type Handler struct {
	fn  func(*Session, *Event) error
	err error // what is wrong with its types
}

func (h Handler) run(s *Session, ev *Event) {
	if err := h.fn(s, ev); err != nil {
		ev.Refuse(err)
	}
}

// On handles an event with one argument, and acks it without a value. Beside a function in a table, whose parameters
// reflection fills, it saves most of a microsecond. Who needs more arguments takes the event: func(*Session, *Event).
//
//	hub.Events{"say": hub.On(func(s *hub.Session, text string) error { return s.To("lobby").Emit("said", text) })}
func On[T any](fn func(s *Session, arg T) error) Handler {
	h := Handler{err: argumentError[T](fn == nil)}
	h.fn = func(s *Session, ev *Event) error {
		var arg T
		if err := ev.Args(&arg); err != nil {
			return err
		}
		if err := fn(s, arg); err != nil {
			return err
		}
		return ev.Ack()
	}
	return h
}

// Reply handles an event with one argument, and acks it with fn's result.
func Reply[T, R any](fn func(s *Session, arg T) (R, error)) Handler {
	h := Handler{err: argumentError[T](fn == nil)}
	if err := encodable(reflect.TypeFor[R]()); h.err == nil && err != nil {
		h.err = fmt.Errorf("the result is %s: %w", reflect.TypeFor[R](), err)
	}
	h.fn = func(s *Session, ev *Event) error {
		var arg T
		if err := ev.Args(&arg); err != nil {
			return err
		}
		r, err := fn(s, arg)
		if err != nil {
			return err
		}
		return ev.Ack(r)
	}
	return h
}

func argumentError[T any](isNil bool) error {
	if isNil {
		return errNoHandler
	}
	if err := decodable(reflect.TypeFor[T]()); err != nil {
		return fmt.Errorf("the argument is %s: %w", reflect.TypeFor[T](), err)
	}
	return nil
}

// once is what Once returns.
type once struct{ fn any }

// Once makes a line of [Events] that handles a session's first event of its name: the second one has no handler any
// more. fn is what the table takes otherwise. In straight-line code [Session.Wait] does that.
func Once(fn any) any { return once{fn} }
