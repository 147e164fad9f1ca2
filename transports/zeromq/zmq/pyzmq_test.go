package zmq_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"greenroom/coop"
	"greenroom/transports/zeromq/zmq"
)

// couple is a legal pair, with what the libzmq side does.
type couple struct {
	ours   zmq.Type
	theirs string
	what   string
}

// matrix are all legal pairs.
var matrix = []couple{
	{zmq.PUSH, "PULL", "recv"}, {zmq.PULL, "PUSH", "send"},
	{zmq.PUB, "SUB", "recv"}, {zmq.PUB, "XSUB", "recv"}, {zmq.XPUB, "SUB", "recv"}, {zmq.XPUB, "XSUB", "recv"},
	{zmq.SUB, "PUB", "send"}, {zmq.SUB, "XPUB", "send"}, {zmq.XSUB, "PUB", "send"}, {zmq.XSUB, "XPUB", "send"},
	{zmq.REQ, "REP", "echo"}, {zmq.REQ, "ROUTER", "echo"},
	{zmq.REP, "REQ", "ask"}, {zmq.REP, "DEALER", "ask"},
	{zmq.DEALER, "REP", "echo"}, {zmq.DEALER, "DEALER", "echo"}, {zmq.DEALER, "ROUTER", "echo"},
	{zmq.ROUTER, "REQ", "ask"}, {zmq.ROUTER, "DEALER", "ask"}, {zmq.ROUTER, "ROUTER", "echo"},
	{zmq.PAIR, "PAIR", "echo"},
}

var samples = [][][]byte{frames("one"), frames("a", "", "c"), {bytes.Repeat([]byte("x"), 1<<20)}}

// Every pair, both ways round, over both transports: one frame, three of which one is empty, one of 1 MiB.
func TestPyzmqMatrix(t *testing.T) {
	py := newStrangers(t)
	for _, c := range matrix {
		for _, how := range []string{"bind", "connect"} {
			for _, over := range []string{"tcp", "ipc"} {
				t.Run(fmt.Sprintf("%s-%s/%s/%s", c.ours, c.theirs, how, over), func(t *testing.T) {
					endpoint := map[string]string{"tcp": "tcp://127.0.0.1:*", "ipc": "ipc://" + t.TempDir() + "/s"}[over]
					met(t, py, c, how, endpoint, nil, nil)
				})
			}
		}
	}
}

// met has a couple talk. how is what the libzmq side does, theirs are the words for its mechanism.
func met(t *testing.T, py *strangers, c couple, how, endpoint string, theirs []string, ours zmq.Security) {
	t.Helper()
	s := open(t, c.ours, zmq.Options{Identity: "we", Security: ours})
	identity := map[zmq.Type]string{zmq.REP: "REP"}[c.ours]
	if c.theirs == "ROUTER" && c.ours == zmq.ROUTER {
		identity = "they"
	}
	if how == "connect" {
		endpoint = listen(t, s, endpoint)
	}
	p := py.open(t, append([]string{c.theirs, c.what, how, endpoint, identity}, theirs...)...)
	if how == "bind" {
		dial(t, s, p.boundAt(t))
	}
	peers(t, s, 1)
	green(t, func(g *coop.Greenlet) error {
		return g.WithTimeout(patience, func() error { return play(g, s, c.theirs, c.what) })
	})
	if say, ok := map[string]string{"recv": "all there", "ask": "all answered"}[c.what]; ok {
		p.said(t, say)
	}
}

// play is our side of a pair.
func play(g *coop.Greenlet, s *zmq.Socket, theirs, what string) error {
	switch what {
	case "send":
		if s.Type() == zmq.SUB {
			if err := s.Subscribe(""); err != nil {
				return err
			}
		}
		if s.Type() == zmq.XSUB {
			if err := s.Send(g, []byte{1}); err != nil {
				return err
			}
		}
		for seen := 0; seen != 1<<len(samples)-1; { // a PUB sends again and again
			m, err := s.Recv(g)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(samples, func(want [][]byte) bool { return text(want) == text(m) })
			if i < 0 {
				return fmt.Errorf("got %.100q", text(m))
			}
			seen |= 1 << i
		}
	case "recv":
		if s.Type() == zmq.XPUB {
			if m, err := s.Recv(g); err != nil || text(m) != "\x01" {
				return fmt.Errorf("subscription %q, %w", text(m), err)
			}
		}
		if s.Type() == zmq.PUB { // tells nobody that there is a subscription
			for s.Stats().Topics == 0 {
				if err := g.Yield(); err != nil {
					return err
				}
			}
		}
		for _, m := range samples {
			if err := s.Send(g, m...); err != nil {
				return err
			}
		}
	case "echo":
		for _, m := range samples {
			switch {
			case s.Type() == zmq.ROUTER:
				m = append(frames("they"), m...)
			case theirs == "REP" && s.Type() == zmq.DEALER:
				m = append(frames(""), m...)
			}
			if err := s.Send(g, m...); err != nil {
				return err
			}
			got, err := s.Recv(g)
			if err != nil {
				return err
			}
			if text(got) != text(m) {
				return fmt.Errorf("got %.100q for %.100q", text(got), text(m))
			}
		}
	case "ask":
		for range samples {
			m, err := s.Recv(g)
			if err != nil {
				return err
			}
			if err := s.Send(g, m...); err != nil {
				return err
			}
		}
	default:
		return errors.New(what)
	}
	return nil
}
