package main

import (
	"errors"

	"greenroom/hub"
)

// mainNamespace says what came with CONNECT, and sends back what it gets, as an event or as an ack.
func (c config) mainNamespace(s *hub.Session) error {
	if err := c.greet(s); err != nil {
		return err
	}
	for ev := range s.Events() {
		args, err := arguments(ev)
		switch {
		case err != nil:
		case ev.Name == "message":
			err = s.Emit("message-back", args...)
		case ev.Name == "message-with-ack":
			err = ev.Ack(args...)
		}
		if err != nil && !errors.Is(err, hub.ErrGone) {
			return err
		}
	}
	return nil
}

// customNamespace says what came with CONNECT, and listens to nothing.
func (c config) customNamespace(s *hub.Session) error {
	if err := c.greet(s); err != nil {
		return err
	}
	for range s.Events() {
	}
	return nil
}

// greet says what came with CONNECT, a pause behind the answer to that.
func (c config) greet(s *hub.Session) error {
	if err := s.Sleep(c.pause); err != nil {
		return err
	}
	return s.Emit("auth", s.Handshake().Auth)
}

// arguments are all of an event's.
func arguments(ev *hub.Event) ([]any, error) {
	args := make([]any, len(ev.Raw()))
	into := make([]any, len(args))
	for i := range args {
		into[i] = &args[i]
	}
	return args, ev.Args(into...)
}
