package zmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
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

// python starts a script with pyzmq; see internal/testenv for what happens without.
func python(t testing.TB, args ...string) *testenv.Process {
	t.Helper()
	return pythonWith(t, nil, args...)
}

func pythonWith(t testing.TB, stdin io.Reader, args ...string) *testenv.Process {
	t.Helper()
	if os.Getenv("GREENROOM_SKIP_PYZMQ") == "1" {
		t.Skip("GREENROOM_SKIP_PYZMQ is set")
	}
	c := testenv.Command{Path: testenv.Python(t, "zmq"), Args: append([]string{"-u"}, args...), Stdin: stdin}
	if stdin == nil {
		c.Ready = testenv.ReadyOutput("\n") // bound or connected
	}
	return testenv.Start(t, c)
}

func printed(t testing.TB, p *testenv.Process, what string) {
	t.Helper()
	if err := p.WaitOutput(patient(t), what); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
}

// strangers is a process in which any number of libzmq peers live, for starting one for each takes longer than what it does.
type strangers struct {
	process *testenv.Process
	mu      sync.Mutex // guards the following
	input   *os.File
	count   int
}

func newStrangers(t testing.TB) *strangers {
	t.Helper()
	input, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = input.Close(), ours.Close() })
	return &strangers{process: pythonWith(t, input, "testdata/peer.py"), input: ours}
}

func (s *strangers) tell(t testing.TB, words ...string) {
	t.Helper()
	line, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.input.Write(append(line, '\n')); err != nil {
		t.Fatalf("%v: %s", err, s.process.Output())
	}
}

// stranger is one of them.
type stranger struct {
	of   *strangers
	name string
}

// open has a peer live until the test ends. args are those of peer.py.
func (s *strangers) open(t testing.TB, args ...string) stranger {
	t.Helper()
	s.mu.Lock()
	s.count++
	p := stranger{s, fmt.Sprint(s.count)}
	s.mu.Unlock()
	t.Cleanup(func() { // it must not go on dialling an address that somebody else has by then
		s.tell(t, p.name)
		p.said(t, "ended")
	})
	s.tell(t, append([]string{p.name}, args...)...)
	return p
}

// said waits until the peer has said what, and returns what follows on that line.
func (p stranger) said(t testing.TB, what string) string {
	t.Helper()
	what = "#" + p.name + " " + what
	printed(t, p.of.process, what)
	_, rest, _ := strings.Cut(p.of.process.Output(), what)
	rest, _, _ = strings.Cut(rest, "\n")
	return rest
}

func (p stranger) boundAt(t testing.TB) string {
	t.Helper()
	return p.said(t, "bound ")
}
