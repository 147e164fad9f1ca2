package coop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A kind makes two ends of a connection: one for the stream, one for the test.
type kind struct {
	name string
	pair func(t *testing.T) (local, remote net.Conn)
}

// kinds are the ways in which a stream is served: bare descriptors of two families, and goroutines.
var kinds = []kind{
	{"tcp", tcpPair},
	{"unix", unixPair},
	{"wrapped", func(t *testing.T) (local, remote net.Conn) {
		local, remote = tcpPair(t)
		return struct{ net.Conn }{local}, remote
	}},
	{"tls", func(t *testing.T) (local, remote net.Conn) {
		l, r := tcpPair(t)
		return tlsPair(t, l, r)
	}},
	{"tls, detachable", func(t *testing.T) (local, remote net.Conn) {
		l, r := tcpPair(t)
		return tlsPair(t, detachable(t, l), r)
	}},
}

// forKinds runs a test on each kind, with a loop of its own and a watchdog.
func forKinds(t *testing.T, fn func(t *testing.T, l *coop.Loop, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			fn(t, started(t, coop.LoopOptions{}), k)
		})
	}
}

// hangs ends the process with all stacks if the test does not end.
func hangs(t *testing.T) {
	w := time.AfterFunc(2*patience, func() { panic("test hangs: " + t.Name()) })
	t.Cleanup(func() { w.Stop() })
}

func tcpPair(t *testing.T) (local, remote net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	return connect(t, ln, err)
}

func unixPair(t *testing.T) (local, remote net.Conn) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("sockets in the file system differ there")
	}
	dir, err := os.MkdirTemp("", "coop") // not the test's own: its path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	return connect(t, ln, err)
}

func connect(t *testing.T, ln net.Listener, err error) (local, remote net.Conn) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if remote, err = net.Dial(ln.Addr().Network(), ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if local, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	remote.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { remote.Close() })
	return local, remote
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// detachable is c as a Detachable listener would have accepted it.
func detachable(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	c, err := coop.Detachable(oneConn{c: c}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oneConn accepts a connection that is there already.
type oneConn struct {
	net.Listener
	c net.Conn
}

func (l oneConn) Accept() (net.Conn, error) { return l.c, nil }

// tlsPair makes the handshake over both ends of a connection.
func tlsPair(t *testing.T, l, r net.Conn) (local, remote net.Conn) {
	t.Helper()
	return tlsPairOf(t, l, r, &tls.Config{}, &tls.Config{})
}

// tlsPairOf is tlsPair with more to say than who is who.
func tlsPairOf(t *testing.T, l, r net.Conn, serves, asks *tls.Config) (local, remote *tls.Conn) {
	t.Helper()
	serves.Certificates = []tls.Certificate{certificate()}
	asks.InsecureSkipVerify = true
	server, client := tls.Server(l, serves), tls.Client(r, asks)
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

// bare is the connection below whatever is around it.
func bare(c net.Conn) net.Conn {
	switch c := c.(type) {
	case struct{ net.Conn }:
		return c.Conn
	case *tls.Conn:
		return coop.Below(c.NetConn())
	default:
		return c
	}
}

// smallBuffers has the system hold as little as it can, so that writers are soon held up.
func smallBuffers(t *testing.T, c net.Conn) {
	t.Helper()
	b := bare(c).(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	})
	size := 1 // Linux has a minimum
	if runtime.GOOS != "linux" {
		size = 4096
	}
	if err := errors.Join(b.SetReadBuffer(size), b.SetWriteBuffer(size)); err != nil {
		t.Fatal(err)
	}
}

// handler is made of the functions that a test gives it, and notes the end.
type handler struct {
	read     func(s *coop.Stream, p []byte)
	writable func(s *coop.Stream)
	over     func(s *coop.Stream)

	calls atomic.Int32 // of OnClose
	ended chan error   // what it was told
}

func newHandler() *handler { return &handler{ended: make(chan error, 8)} }

func (h *handler) OnRead(s *coop.Stream, p []byte) {
	if h.read != nil {
		h.read(s, p)
	}
}

func (h *handler) OnWritable(s *coop.Stream) {
	if h.writable != nil {
		h.writable(s)
	}
}

func (h *handler) OnClose(s *coop.Stream, err error) {
	h.calls.Add(1)
	h.ended <- err
	if h.over != nil {
		h.over(s)
	}
}

// end waits for OnClose.
func (h *handler) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-h.ended:
		return err
	case <-time.After(patience):
		t.Fatal("OnClose did not come")
		return nil
	}
}

// attach makes a started stream of c.
func attach(t *testing.T, l *coop.Loop, c net.Conn, h coop.StreamHandler) *coop.Stream {
	t.Helper()
	s, err := l.Attach(c, h)
	if err != nil {
		t.Fatal(err)
	}
	onLoop(t, l, s.Start)
	return s
}

// onLoop runs fn on the loop and waits for it.
func onLoop(t *testing.T, l *coop.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(func() { defer close(done); fn() }) {
		t.Fatal("loop is closed")
	}
	<-done
}

// await polls a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came true: " + what)
		}
	}
}

// echo is a second stream of the loop, to see that the loop has gone round.
type echo struct {
	h      *handler
	remote net.Conn
}

func newEcho(t *testing.T, l *coop.Loop, k kind) *echo {
	t.Helper()
	local, remote := k.pair(t)
	e := &echo{h: newHandler(), remote: remote}
	e.h.read = func(s *coop.Stream, p []byte) { s.Write(p) }
	attach(t, l, local, e.h)
	return e
}

// rounds has n bytes go there and back, one after the other.
func (e *echo) rounds(t *testing.T, n int) {
	t.Helper()
	var b [1]byte
	for range n {
		if _, err := e.remote.Write(b[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := e.remote.Read(b[:]); err != nil {
			t.Fatal(err)
		}
	}
}
