//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"greenroom/coop"
	"greenroom/transports/zeromq/zmq"
)

// greenRows compare the sockets for greenlets with libzmq's, each with the same C program at its other end.
var greenRows = []row{
	{
		name: "green-req", lines: []line{{Title: "green: a REQ asks libzmq's REP", Unit: "µs, p50", Most: true}},
		round: roundTrip(askC, askGreen),
	},
	{
		name: "green-rep", lines: []line{{Title: "green: libzmq's REQ asks a REP", Unit: "µs, p50", Most: true}},
		round: roundTrip(askC, answerGreen),
	},
	stream1("green-pull-64", "green: libzmq's PUSH to a PULL, 64 bytes", 64, 400_000, pullGreen),
	stream1("green-pull-1024", "green: libzmq's PUSH to a PULL, 1024 bytes", 1024, 200_000, pullGreen),
	stream1("green-push-64", "green: a PUSH to libzmq's PULL, 64 bytes", 64, 400_000, pushGreen),
	stream1("green-push-1024", "green: a PUSH to libzmq's PULL, 1024 bytes", 1024, 200_000, pushGreen),
}

// questions is how many round trips a median is of.
const questions = 20_000

func roundTrip(theirs, ours func(context.Context, string, string) (float64, error)) func(context.Context, *bench) ([]pair, error) {
	return bothAt(func(ctx context.Context, peer, at string, own bool) (float64, error) {
		if own {
			return ours(ctx, peer, at)
		}
		return theirs(ctx, peer, at)
	})
}

// stream1 is a row of messages per second from one socket to one other.
func stream1(name, title string, size, count int, ours func(ctx context.Context, peer, at string, size, count int) (float64, error)) row {
	return row{name: name, lines: []line{{Title: title, Unit: "messages/s"}}, round: bothAt(func(ctx context.Context, peer, at string, own bool) (float64, error) {
		pass := pushC
		if own {
			pass = ours
		}
		seconds, err := pass(ctx, peer, at, size, count)
		return float64(count-1) / seconds, err
	})}
}

// bothAt measures libzmq's and ours at free addresses.
func bothAt(measure func(ctx context.Context, peer, at string, own bool) (float64, error)) func(context.Context, *bench) ([]pair, error) {
	return func(ctx context.Context, b *bench) ([]pair, error) {
		var got [2]float64
		for i := range got {
			at, err := freeAddr()
			if err != nil {
				return nil, err
			}
			if got[i], err = measure(ctx, b.peer, "tcp://"+at, i == 1); err != nil {
				return nil, err
			}
		}
		return []pair{{got[0], got[1]}}, nil
	}
}

// c starts the C program; said is the figure that it prints, when it has ended.
func c(ctx context.Context, peer string, args ...any) (said func() (float64, error), err error) {
	words := strings.Fields(fmt.Sprintln(args...))
	cmd := exec.CommandContext(ctx, peer, words...)
	cmd.Stderr = os.Stderr
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (figure float64, err error) {
		if err := cmd.Wait(); err != nil {
			return 0, fmt.Errorf("peer %s: %w", words[0], err)
		}
		if out.Len() > 0 {
			_, err = fmt.Sscan(out.String(), &figure)
		}
		return figure, err
	}, nil
}

// both starts two of them, and returns what the second says.
func both(ctx context.Context, peer string, first, second []any) (float64, error) {
	one, err := c(ctx, peer, first...)
	if err != nil {
		return 0, err
	}
	two, err := c(ctx, peer, second...)
	if err != nil {
		return 0, err
	}
	said, err := two()
	if _, err2 := one(); err == nil {
		err = err2
	}
	return said, err
}

func askC(ctx context.Context, peer, at string) (float64, error) {
	return both(ctx, peer, []any{"rep", at, questions}, []any{"req", at, questions})
}

func pushC(ctx context.Context, peer, at string, size, count int) (float64, error) {
	return both(ctx, peer, []any{"push", at, size, count}, []any{"pull", at, count})
}

// green runs fn in a greenlet with a socket that has no bounds, as the C program's have none.
func green(t zmq.Type, fn func(*coop.Greenlet, *zmq.Socket) error) error {
	return coop.Run(func(g *coop.Greenlet) error {
		s, err := zmq.New(t, zmq.Options{SendHWM: 1 << 30, SendBytes: 1 << 30, RecvHWM: 1 << 30, RecvBytes: 1 << 30, Linger: time.Minute})
		if err != nil {
			return err
		}
		defer s.Close(g)
		return fn(g, s)
	})
}

func askGreen(ctx context.Context, peer, at string) (float64, error) {
	rep, err := c(ctx, peer, "rep", at, questions)
	if err != nil {
		return 0, err
	}
	took := make([]float64, questions)
	err = green(zmq.REQ, func(g *coop.Greenlet, s *zmq.Socket) error {
		if err := s.Dial(at); err != nil {
			return err
		}
		for i := range took {
			start := time.Now()
			if err := s.Send(g, []byte("question")); err != nil {
				return err
			}
			if _, err := s.Recv(g); err != nil {
				return err
			}
			took[i] = float64(time.Since(start)) / float64(time.Microsecond)
		}
		return nil
	})
	if _, err2 := rep(); err == nil {
		err = err2
	}
	slices.Sort(took)
	return took[len(took)/2], err
}

func answerGreen(ctx context.Context, peer, at string) (median float64, err error) {
	err = green(zmq.REP, func(g *coop.Greenlet, s *zmq.Socket) error {
		if _, err := s.Listen(g, at); err != nil {
			return err
		}
		req, err := c(ctx, peer, "req", at, questions)
		if err != nil {
			return err
		}
		for range questions {
			if _, err := s.Recv(g); err != nil {
				return err
			}
			if err := s.Send(g, []byte("answer")); err != nil {
				return err
			}
		}
		median, err = coop.Await(g, req)
		return err
	})
	return median, err
}

func pullGreen(ctx context.Context, peer, at string, size, count int) (seconds float64, err error) {
	err = green(zmq.PULL, func(g *coop.Greenlet, s *zmq.Socket) error {
		if _, err := s.Listen(g, at); err != nil {
			return err
		}
		push, err := c(ctx, peer, "push", at, size, count)
		if err != nil {
			return err
		}
		var first time.Time
		for i := range count {
			if _, err := s.Recv(g); err != nil {
				return err
			}
			if i == 0 {
				first = time.Now()
			}
		}
		seconds = time.Since(first).Seconds()
		_, err = coop.Await(g, push)
		return err
	})
	return seconds, err
}

func pushGreen(ctx context.Context, peer, at string, size, count int) (float64, error) {
	pull, err := c(ctx, peer, "pull", at, count)
	if err != nil {
		return 0, err
	}
	payload := make([]byte, size)
	if err := green(zmq.PUSH, func(g *coop.Greenlet, s *zmq.Socket) error {
		if err := s.Dial(at); err != nil {
			return err
		}
		for range count {
			if err := s.Send(g, payload); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	return pull()
}
