package main

import (
	"errors"

	"greenroom/hub"
)

// mainNamespace says what came with CONNECT, and sends back what it gets, as an event or as an ack.
func mainNamespace(s *hub.Session) error {
	if err := s.Emit("auth", s.Handshake().Auth); err != nil {
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
func customNamespace(s *hub.Session) error {
	if err := s.Emit("auth", s.Handshake().Auth); err != nil {
		return err
	}
	for range s.Events() {
	}
	return nil
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
