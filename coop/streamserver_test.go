package coop_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"greenroom/coop"
)

// echoes writes lines back.
func echoes(_ *coop.Greenlet, c net.Conn) error {
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if _, err := c.Write([]byte(line)); err != nil {
			return err
		}
	}
}

// serving starts s in a greenlet on loopback.
func serving(t *testing.T, g *coop.Greenlet, s *coop.StreamServer) (*coop.Listener, *coop.Greenlet) {
	t.Helper()
	ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln, g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
}

func dialed(t *testing.T, g *coop.Greenlet, ln *coop.Listener) *coop.Conn {
	t.Helper()
	c, err := coop.Dial(g, ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a line and reads one.
func ask(c net.Conn, line string) (string, error) {
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	got := make([]byte, len(line)+1)
	_, err := io.ReadFull(c, got)
	return strings.TrimSuffix(string(got), "\n"), err
}

// runReal runs fn on the system's clock, since connections do not hold a fake one.
func runReal(t *testing.T, fn func(g *coop.Greenlet) error) {
	t.Helper()
	runWith(t, coop.LoopOptions{OnFailure: quiet}, fn)
}

func TestStreamServerServesManyAtOnce_78(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		s := &coop.StreamServer{Handler: echoes}
		ln, serve := serving(t, g, s)
		var gs []*coop.Greenlet
		for i := range 50 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				c := dialed(t, g, ln)
				defer c.Close()
				for j := range 10 {
					line := fmt.Sprint(i, j)
					if got, err := ask(c, line); got != line || err != nil {
						t.Errorf("%q came back as %q, %v", line, got, err)
					}
				}
				return nil
			}))
		}
		if err := coop.JoinAll(g, gs...); err != nil {
			return err
		}
		if err := s.Stop(g); err != nil {
			return err
		}
		if n := s.Conns(); n != 0 {
			t.Errorf("%d handlers after Stop", n)
		}
		wantErr(t, serve.Join(g), nil)
		if _, err := coop.Dial(g, "tcp", ln.Addr().String()); err == nil {
			t.Error("it still listens")
		}
		again := &coop.StreamServer{Handler: echoes}
		wantErr(t, again.Stop(g), nil)
		wantErr(t, again.ListenAndServe(g, "tcp", "127.0.0.1:0"), nil)
		return nil
	})
}

func TestStreamServerPausesWhenThePoolIsFull_78(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		const limit = 3
		s := &coop.StreamServer{Handler: echoes, MaxConns: limit}
		ln, _ := serving(t, g, s)
		var cs []*coop.Conn
		for range limit {
			c := dialed(t, g, ln)
			if _, err := ask(c, "in"); err != nil {
				return err
			}
			cs = append(cs, c)
		}
		late := dialed(t, g, ln) // by the system, not by us
		err := g.WithTimeout(50*time.Millisecond, func() error { _, err := ask(late, "late"); return err })
		wantErr(t, err, coop.ErrTimeout)
		if n := s.Conns(); n != limit {
			t.Errorf("%d handlers", n)
		}
		cs[0].Close()
		got := make([]byte, 5)
		if _, err := io.ReadFull(late, got); err != nil || string(got) != "late\n" {
			t.Errorf("%q, %v", got, err)
		}
		for _, c := range append(cs, late) {
			c.Close()
		}
		return s.Stop(g)
	})
}

func TestStreamServerStopKillsWhoStaysTooLong_78(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		var cleaned int
		s := &coop.StreamServer{Handler: func(g *coop.Greenlet, c net.Conn) error {
			defer func() { cleaned++ }()
			return echoes(g, c)
		}}
		ln, _ := serving(t, g, s)
		quick, slow := dialed(t, g, ln), dialed(t, g, ln)
		for _, c := range []*coop.Conn{quick, slow} {
			if _, err := ask(c, "in"); err != nil {
				return err
			}
		}
		g.Spawn(func(g *coop.Greenlet) error { g.Yield(); _, err := ask(quick, "still"); quick.Close(); return err })
		err := g.WithTimeout(50*time.Millisecond, func() error { return s.Stop(g) })
		wantErr(t, err, coop.ErrTimeout)
		if cleaned != 2 || s.Conns() != 0 {
			t.Errorf("%d handlers ended, %d go on", cleaned, s.Conns())
		}
		_, err = slow.Read(make([]byte, 1))
		if err == nil {
			t.Error("the connection is still open")
		}
		return nil
	})
}

func TestStreamServerHandlerFailures_78(t *testing.T) {
	var failures []error
	o := coop.LoopOptions{OnFailure: func(_ *coop.Greenlet, err error) { failures = append(failures, err) }}
	runWith(t, o, func(g *coop.Greenlet) error {
		ends := map[string]error{"error": errBoom, "eof": io.EOF, "closed": net.ErrClosed, "nothing": nil}
		s := &coop.StreamServer{Handler: func(g *coop.Greenlet, c net.Conn) error {
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				return err
			}
			if line == "panic\n" {
				panic("oh")
			}
			return ends[strings.TrimSpace(line)]
		}}
		ln, _ := serving(t, g, s)
		for _, how := range []string{"error", "panic", "eof", "closed", "nothing"} {
			c := dialed(t, g, ln)
			if _, err := ask(c, how); !errors.Is(err, io.EOF) {
				t.Errorf("%s: the connection ended with %v", how, err)
			}
			c.Close()
		}
		return s.Stop(g)
	})
	var p *coop.PanicError
	if len(failures) != 2 || !errors.Is(failures[0], errBoom) || !errors.As(failures[1], &p) {
		t.Errorf("reported: %v", failures)
	}
}

func TestStreamServerOwnSpawn_78(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		n := 0
		s := &coop.StreamServer{Handler: echoes}
		s.Spawn = func(g *coop.Greenlet, fn func(*coop.Greenlet) error) *coop.Greenlet {
			n++
			h := g.Spawn(fn)
			if n == 2 {
				h.Kill() // before it begins
			}
			return h
		}
		ln, _ := serving(t, g, s)
		first, second := dialed(t, g, ln), dialed(t, g, ln)
		if _, err := ask(first, "x"); err != nil {
			return err
		}
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("the connection of a handler that never began stays")
		}
		first.Close()
		return s.Stop(g)
	})
}

func TestStreamServerBusyPort_78(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		err = new(coop.StreamServer).ListenAndServe(g, "tcp", ln.Addr().String())
		if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

// flakyListener fails with errs before it goes on.
type flakyListener struct {
	net.Listener
	mu   sync.Mutex
	errs []error
}

func (l *flakyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	}
	return l.Listener.Accept()
}

// Out of descriptors: accepting pauses, longer each time, says so once, and recovers.
func TestStreamServerBacksOff_78(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	run(t, func(g *coop.Greenlet) error {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		var errs []error
		for range 6 {
			errs = append(errs, os.NewSyscallError("accept", syscall.EMFILE))
		}
		served := make(chan time.Duration, 1)
		s := &coop.StreamServer{
			MinDelay: 5 * time.Second,
			MaxDelay: 60 * time.Second,
			Handler: func(g *coop.Greenlet, c net.Conn) error {
				served <- g.Loop().Now()
				return nil
			},
		}
		ln := coop.NewListener(g.Loop(), &flakyListener{Listener: nl, errs: errs})
		g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		c, err := coop.Dial(g, "tcp", nl.Addr().String())
		if err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if at := <-served; at != (5+10+20+40+60+60)*time.Second {
			t.Errorf("recovered after %v", at)
		}
		return s.Stop(g)
	})
	if n := strings.Count(log.String(), "cannot accept"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
}

func TestStreamServerTLS_78(t *testing.T) {
	var failures []error
	o := coop.LoopOptions{OnFailure: func(_ *coop.Greenlet, err error) { failures = append(failures, err) }}
	runWith(t, o, func(g *coop.Greenlet) error {
		config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
		s := &coop.StreamServer{Handler: echoes, TLS: config}
		ln, _ := serving(t, g, s)
		silent := dialed(t, g, ln) // its handshake holds nobody up
		c, err := coop.DialTLS(g, "tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		if got, err := ask(c, "hello"); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if !c.ConnectionState().HandshakeComplete {
			t.Error("no handshake")
		}
		silent.Close() // who only looked in has not failed
		if _, err := coop.DialTLS(g, "tcp", ln.Addr().String(), nil); err == nil {
			t.Error("an unknown certificate is accepted")
		}
		c.Close()
		s.HandshakeTimeout = 50 * time.Millisecond // and not before: the others may be slow
		if _, err := dialed(t, g, ln).Read(make([]byte, 1)); err == nil {
			t.Error("a silent one stays")
		}
		return s.Stop(g)
	})
	for _, err := range failures {
		if !strings.Contains(err.Error(), "TLS handshake with 127.0.0.1:") {
			t.Errorf("reported %v", err)
		}
	}
	if len(failures) != 2 {
		t.Errorf("%d failures: %v", len(failures), failures)
	}
}

func TestStreamServerOverUnixSocket(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		s := &coop.StreamServer{Handler: echoes}
		ln, err := coop.Listen(g, "unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			return err
		}
		g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		c := dialed(t, g, ln)
		if got, err := ask(c, "hello"); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		c.Close()
		return s.Stop(g)
	})
}

func TestStreamServersOfManyLoopsShareAPort(t *testing.T) {
	ls, err := coop.NewLoops(3, coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan int, 100)
	var wg sync.WaitGroup
	for _, l := range ls.All() {
		wg.Go(func() {
			err := l.Call(func(g *coop.Greenlet) error {
				s := &coop.StreamServer{Handler: func(g *coop.Greenlet, c net.Conn) error {
					seen <- g.Loop().ID()
					return nil
				}}
				return s.Serve(g, coop.NewListener(l, nl))
			})
			wantErr(t, err, net.ErrClosed)
		})
	}
	loops := map[int]bool{}
	for range 100 {
		c, err := net.Dial("tcp", nl.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		loops[<-seen] = true
		c.Close()
	}
	if len(loops) < 2 {
		t.Errorf("served by %v", loops)
	}
	nl.Close()
	wg.Wait()
	if err := ls.Close(); err != nil {
		t.Error(err)
	}
}
