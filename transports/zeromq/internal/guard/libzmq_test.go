package guard

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/internal/testenv"
)

// patience is how long a test waits for what must happen. Nothing is decided by its length.
const patience = time.Minute

// libzmq starts testdata/curve.py.
func libzmq(t *testing.T, args ...string) *testenv.Process {
	t.Helper()
	if os.Getenv("GREENROOM_SKIP_PYZMQ") == "1" {
		t.Skip("GREENROOM_SKIP_PYZMQ is set")
	}
	return testenv.Start(t, testenv.Command{Path: testenv.Python(t, "zmq"), Args: append([]string{"testdata/curve.py"}, args...)})
}

func ended(t *testing.T, p *testenv.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
	}
	if out := p.Output(); !strings.Contains(out, "done") {
		t.Fatal(out)
	}
}

// echo returns every message until "end".
func echo(conn *zmq4.Conn) error {
	for {
		msg, err := conn.RecvMsg()
		if err != nil {
			return err
		}
		if err := conn.SendMsg(zmq4.NewMsgFrom(msg.Frames...)); err != nil {
			return err
		}
		if string(msg.Frames[0]) == "end" {
			return nil
		}
	}
}

// TestLibzmqConnects: a DEALER of libzmq asks a guarded one of ours, under each mechanism: several frames, empty ones,
// sizes around those at which headers change, 1 MiB, heartbeats both ways.
func TestLibzmqConnects(t *testing.T) {
	conf, public := curveConf()
	clients := make(chan Key, 1)
	conf.Admit = func(k Key, _ string) error { clients <- k; return nil }
	plain := &PlainServer{Admit: func(user, password string) error {
		if user != "ann" || password != "wonder" {
			return errors.New("who is " + user)
		}
		return nil
	}}
	l := Limits{FrameBytes: 2 << 20, MessageBytes: 4 << 20, Frames: 10}
	for _, c := range []struct {
		name   string
		secure func(net.Conn, Limits) net.Conn
		args   []string
	}{
		{"curve", conf.Secure, []string{"curve", EncodeKey(public), EncodeKey(key(1))}},
		{"plain", plain.Secure, []string{"plain", "ann", "wonder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			p := libzmq(t, append([]string{"connect", "ask", "tcp://" + ln.Addr().String()}, c.args...)...)
			raw, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			g := New(c.secure(raw, l), "DEALER", l)
			defer g.Wait()
			defer g.Close()
			conn, err := Open(g, zmq4.Dealer, true)
			if err != nil {
				t.Fatal(err)
			}
			if err := echo(conn); err != nil {
				t.Error(err)
			}
			ended(t, p)
		})
	}
	secret := key(1)
	if got := <-clients; got != PublicKey(&secret) {
		t.Errorf("the client's key: %x", got)
	}
}

// TestLibzmqBinds: ours connects to a CURVE server of libzmq. (Its PLAIN server needs a ZAP handler.)
func TestLibzmqBinds(t *testing.T) {
	l := Limits{FrameBytes: 2 << 20, MessageBytes: 4 << 20, Frames: 10}
	secret := key(2)
	p := libzmq(t, "bind", "ask", "tcp://127.0.0.1:*", "curve", EncodeKey(secret))
	addr := awaitBound(t, p)

	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	g := New((&CurveClient{Server: PublicKey(&secret), Secret: key(1)}).Secure(raw, l), "DEALER", l)
	defer g.Wait()
	defer g.Close()
	conn, err := Open(g, zmq4.Dealer, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(conn); err != nil {
		t.Error(err)
	}
	ended(t, p)
}

// TestLibzmqRefusesAnotherKey: libzmq closes on a HELLO that is not for it, and ours says what that means.
func TestLibzmqRefusesAnotherKey(t *testing.T) {
	p := libzmq(t, "bind", "echo", "tcp://127.0.0.1:*", "curve", EncodeKey(key(2)))
	raw, err := net.Dial("tcp", awaitBound(t, p))
	if err != nil {
		t.Fatal(err)
	}
	other := key(7)
	g := New((&CurveClient{Server: PublicKey(&other), Secret: key(1)}).Secure(raw, Limits{}), "DEALER", Limits{})
	defer g.Wait()
	defer g.Close()
	if _, err := Open(g, zmq4.Dealer, false); !errors.Is(err, ErrHelloRefused) {
		t.Error(err)
	}
}

func awaitBound(t *testing.T, p *testenv.Process) (addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, "\n"); err != nil {
		t.Fatal(err, p.Output())
	}
	_, addr, _ = strings.Cut(p.Output(), "tcp://")
	return strings.TrimSpace(addr)
}
