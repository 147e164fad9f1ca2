package googollee

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"sync"

	goengineio "github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/engineio/session"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/socketio"
)

const serverDisconnect = socketio.ReasonServerDisconnect

// conn is a [Conn]: a session of the hub for goroutines.
type conn struct {
	space   *space
	session *hub.Session // on its loop only
	id      string
	loop    *coop.Loop
	request *hub.Request

	turn  sync.Mutex          // held by the function of the program that runs
	gone  bool                // guarded by the space's lock
	rooms map[string]struct{} // guarded by the space's lock

	mu      sync.Mutex
	context any
}

func newConn(sp *space, s *hub.Session) *conn {
	return &conn{
		space: sp, session: s, id: s.ID(), loop: s.Greenlet().Loop(), request: s.Handshake().Request,
		rooms: make(map[string]struct{}),
	}
}

// begin calls what the program wants called for a new connection. It is false if the program does not want it.
func (c *conn) begin() (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			c.space.failed(c, fmt.Errorf("OnConnect panicked: %v", v))
		}
	}()
	if initor := c.space.srv.initor; initor != nil {
		initor(c.httpRequest(), engineConn{c})
	}
	c.space.mu.RLock()
	connect := c.space.onConnect
	c.space.mu.RUnlock()
	if connect == nil {
		return true
	}
	if err := connect(c); err != nil {
		c.space.failed(c, err)
		return false
	}
	return true
}

// httpRequest is the request that the connection began with, as far as it was kept.
func (c *conn) httpRequest() *http.Request {
	u := c.URL()
	h := c.RemoteHeader()
	host := h.Get("Host")
	h.Del("Host")
	return &http.Request{
		Method: http.MethodGet, URL: &u, RequestURI: c.request.URL, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Host: host, RemoteAddr: c.request.RemoteAddr, Body: http.NoBody,
	}
}

// now runs fn on the session's loop and waits for it, wherever it is called.
func (c *conn) now(fn func()) {
	err := c.loop.Call(func(*coop.Greenlet) error { fn(); return nil })
	if errors.Is(err, coop.ErrOtherLoop) || errors.Is(err, coop.ErrNotRunning) { // a loop must not wait
		c.later(fn)
	}
}

// later runs fn on the session's loop.
func (c *conn) later(fn func()) { c.loop.Post(fn) }

// ID implements [Conn].
func (c *conn) ID() string { return c.id }

// Close implements [Conn]: it closes the connection, all its namespaces included.
func (c *conn) Close() error {
	c.now(func() { _ = c.session.CloseConn(serverDisconnect) })
	return nil
}

// URL implements [Conn].
func (c *conn) URL() url.URL {
	u, err := url.ParseRequestURI(c.request.URL)
	if err != nil {
		return url.URL{} // net/http has parsed it before
	}
	return *u
}

// LocalAddr implements [Conn]. It is nil when the HTTP server in front has not said.
func (c *conn) LocalAddr() net.Addr { return address(c.request.LocalAddr) }

// RemoteAddr implements [Conn].
func (c *conn) RemoteAddr() net.Addr { return address(c.request.RemoteAddr) }

func address(s string) net.Addr {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	if s == "" {
		return nil
	}
	return &net.UnixAddr{Net: "unix", Name: s}
}

// RemoteHeader implements [Conn].
func (c *conn) RemoteHeader() http.Header { return c.request.Header() }

// Context implements [Conn].
func (c *conn) Context() interface{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.context
}

// SetContext implements [Conn].
func (c *conn) SetContext(v interface{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.context = v
}

// Namespace implements [Conn].
func (c *conn) Namespace() string { return c.space.name }

// Emit implements [Conn]. If the last argument is a function it is called with the client's answer, decoded into its
// parameters.
func (c *conn) Emit(event string, v ...interface{}) {
	var answered *function
	if n := len(v); n > 0 && v[n-1] != nil && reflect.TypeOf(v[n-1]).Kind() == reflect.Func {
		fn, err := newFunction(v[n-1], false)
		if err != nil {
			c.space.failed(c, fmt.Errorf("emitting %q: %w", event, err))
			return
		}
		answered, v = fn, v[:n-1]
	}
	args, err := outgoing(v)
	switch {
	case err != nil:
	case answered == nil:
		err = c.space.ns.To(c.id).Local().Emit(event, args...)
	default:
		c.now(func() { err = c.ask(answered, event, args) })
	}
	if err != nil && !errors.Is(err, hub.ErrGone) {
		c.space.failed(c, fmt.Errorf("emitting %q: %w", event, err))
	}
}

// ask emits on the loop, and has fn called on a goroutine when the client answers. Nobody is told if it never does.
func (c *conn) ask(fn *function, event string, args []any) error {
	return c.session.AskFunc(coop.Forever, func(a hub.Answer, err error) {
		if err != nil {
			return // the client is gone
		}
		go func() {
			c.turn.Lock()
			defer c.turn.Unlock()
			raw, err := a.Payload.Split()
			if err == nil {
				_, err = fn.call(c, a.Payload, raw)
			}
			if err != nil {
				c.space.failed(c, fmt.Errorf("the answer to %q: %w", event, err))
			}
		}()
	}, event, args...)
}

// Join implements [Conn].
func (c *conn) Join(room string) {
	var err error
	c.now(func() {
		if err = c.session.Join(room); err == nil {
			c.space.mu.Lock()
			defer c.space.mu.Unlock()
			c.space.joinLocked(c, room)
		}
	})
	if err != nil && !errors.Is(err, hub.ErrGone) {
		c.space.failed(c, fmt.Errorf("joining: %w", err))
	}
}

// Leave implements [Conn].
func (c *conn) Leave(room string) {
	c.now(func() {
		c.session.Leave(room)
		c.space.mu.Lock()
		defer c.space.mu.Unlock()
		c.space.leaveLocked(c, room)
	})
}

// LeaveAll implements [Conn].
func (c *conn) LeaveAll() {
	for _, room := range c.Rooms() {
		c.Leave(room)
	}
}

// Rooms implements [Conn].
func (c *conn) Rooms() []string {
	c.space.mu.RLock()
	defer c.space.mu.RUnlock()
	rooms := make([]string, 0, len(c.rooms))
	for room := range c.rooms {
		rooms = append(rooms, room)
	}
	return rooms
}

// engineConn is what a ConnInitor gets. It can look at the connection and set the context; packets are the engine's.
type engineConn struct{ *conn }

var _ goengineio.Conn = engineConn{}

var errNoPackets = errors.New("googollee: packets are read and written by the engine")

// NextReader implements the library's engineio.Conn; it fails.
func (engineConn) NextReader() (session.FrameType, io.ReadCloser, error) { return 0, nil, errNoPackets }

// NextWriter implements the library's engineio.Conn; it fails.
func (engineConn) NextWriter(session.FrameType) (io.WriteCloser, error) { return nil, errNoPackets }
