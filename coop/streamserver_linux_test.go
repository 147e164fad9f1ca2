package coop_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/coop"
)

// said collects what is logged.
type said struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (s *said) Enabled(context.Context, slog.Level) bool { return true }

func (s *said) Handle(_ context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	s.lines = append(s.lines, line)
	return nil
}

func (s *said) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// The process has no descriptors left. Accepting pauses, says so once, and goes on when there are some.
func TestStreamServerOutOfDescriptors_78(t *testing.T) {
	log := new(said)
	before := slog.Default()
	slog.SetDefault(slog.New(log))
	defer slog.SetDefault(before)
	runReal(t, func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		var cs []*coop.Conn // wait in the system's queue
		for range 3 {
			cs = append(cs, dialed(t, g, ln))
		}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		var hold []*os.File
		defer func() {
			for _, f := range hold {
				f.Close()
			}
		}()
		low := limit
		low.Cur = uint64(len(must(os.ReadDir("/proc/self/fd"))) + 50)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			return err
		}
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			hold = append(hold, f)
		}

		s := &coop.StreamServer{Handler: echoes, MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}
		g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		for len(log.all()) == 0 {
			if err := g.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		if err := g.Sleep(20 * time.Millisecond); err != nil { // more attempts, in silence
			return err
		}
		if lines := log.all(); len(lines) != 1 || !strings.Contains(lines[0], "too many open files") {
			t.Errorf("said %q", lines)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		for _, c := range cs {
			if got, err := ask(c, "hello"); got != "hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			c.Close()
		}
		return s.Stop(g)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStreamServerBacklog_78(t *testing.T) {
	const backlog = 7
	runReal(t, func(g *coop.Greenlet) error {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := &coop.StreamServer{Handler: echoes, Backlog: backlog}
		serve := parkedIn(g, func(g *coop.Greenlet) error { return s.Serve(g, coop.NewListener(g.Loop(), nl)) })
		raw, err := nl.(*net.TCPListener).SyscallConn()
		if err != nil {
			return err
		}
		var info *unix.TCPInfo
		var infoErr error
		if err := raw.Control(func(fd uintptr) {
			info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		}); err != nil {
			return err
		}
		if infoErr != nil {
			return infoErr
		}
		if info.Sacked != backlog { // of a listening socket that is the queue's limit
			t.Errorf("the system queues %d", info.Sacked)
		}
		if err := s.Stop(g); err != nil {
			return err
		}
		return serve.Join(g)
	})
}
