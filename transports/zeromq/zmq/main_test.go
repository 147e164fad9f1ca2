package zmq_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/coop"
	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/zmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is how long a test waits for what must happen. Nothing is decided by its length.
	patience = time.Minute
	anyPort  = "tcp://127.0.0.1:0"
)

// quick is a socket's options when it is to come back soon.
func quick(o zmq.Options) zmq.Options {
	o.RedialMin, o.RedialMax = time.Millisecond, 20*time.Millisecond
	return o
}

func open(t testing.TB, typ zmq.Type, o zmq.Options) *zmq.Socket {
	t.Helper()
	s, err := zmq.New(typ, quick(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.CloseContext(patient(t)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func listen(t testing.TB, s *zmq.Socket, endpoint string) string {
	t.Helper()
	at, err := s.ListenContext(patient(t), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func dial(t testing.TB, s *zmq.Socket, endpoint string) {
	t.Helper()
	if err := s.Dial(endpoint); err != nil {
		t.Fatal(err)
	}
}

// pairOf are two sockets that have shaken hands; the first listens.
func pairOf(t testing.TB, a zmq.Type, ao zmq.Options, b zmq.Type, bo zmq.Options) (*zmq.Socket, *zmq.Socket) {
	t.Helper()
	sa, sb := open(t, a, ao), open(t, b, bo)
	dial(t, sb, listen(t, sa, anyPort))
	peers(t, sa, 1)
	peers(t, sb, 1)
	return sa, sb
}

func peers(t testing.TB, s *zmq.Socket, n int) {
	t.Helper()
	if err := s.WaitPeersContext(patient(t), n); err != nil {
		t.Fatal(err)
	}
}

func frames(parts ...string) (f [][]byte) {
	for _, p := range parts {
		f = append(f, []byte(p))
	}
	return f
}

func text(f [][]byte) string {
	var parts []string
	for _, p := range f {
		parts = append(parts, string(p))
	}
	return strings.Join(parts, "|")
}

func send(t testing.TB, s *zmq.Socket, parts ...string) {
	t.Helper()
	if err := s.SendContext(patient(t), frames(parts...)...); err != nil {
		t.Fatal(err)
	}
}

func recv(t testing.TB, s *zmq.Socket) string {
	t.Helper()
	m, err := s.RecvContext(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return text(m)
}

func expect(t testing.TB, s *zmq.Socket, want string) {
	t.Helper()
	if got := recv(t, s); got != want {
		t.Fatalf("got %.100q, want %.100q", got, want)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// eventually polls what has no event to wait for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// green runs fn in a greenlet.
func green(t testing.TB, fn func(g *coop.Greenlet) error) {
	t.Helper()
	if err := coop.Run(fn); err != nil {
		t.Fatal(err)
	}
}

// python starts testdata/peer.py, with pyzmq; see internal/testenv for what happens without.
func python(t testing.TB, args ...string) *testenv.Process {
	t.Helper()
	return pythonWith(t, "", args...)
}

// pythonWith is python with something in its environment.
func pythonWith(t testing.TB, env string, args ...string) *testenv.Process {
	t.Helper()
	if os.Getenv("GREENROOM_SKIP_PYZMQ") == "1" {
		t.Skip("GREENROOM_SKIP_PYZMQ is set")
	}
	var more []string
	if env != "" {
		more = []string{env}
	}
	return testenv.Start(t, testenv.Command{
		Path: testenv.Python(t, "zmq"), Args: append([]string{"-u"}, args...), Env: more,
		Ready: testenv.ReadyOutput("\n"), // bound or connected
	})
}

func printed(t testing.TB, p *testenv.Process, what string) {
	t.Helper()
	if err := p.WaitOutput(patient(t), what); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
}

// boundAt is the endpoint that a script has printed.
func boundAt(t testing.TB, p *testenv.Process) string {
	t.Helper()
	printed(t, p, "\n")
	for line := range strings.Lines(p.Output()) {
		if at, ok := strings.CutPrefix(line, "bound "); ok {
			return strings.TrimSpace(at)
		}
	}
	t.Fatalf("no endpoint: %s", p.Output())
	return ""
}
