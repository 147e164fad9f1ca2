package engineio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"greenroom/coop"
)

const (
	// doorPatience is how long a connection may say nothing, or less than a request, at the door. Then it is net/http's,
	// with the time that its server gives. A client that knows what it wants says so at once.
	doorPatience = time.Second
	// doorLooks is how many pieces a request may come in, for the same reason.
	doorLooks = 8
	// doorQueue is how many connections may wait for Accept before no more are taken from the system.
	doorQueue = 128
	// doorIdle is how long a connection whose polls were answered at the door may be idle there. Then it is net/http's, which
	// knows what the application allows.
	doorIdle = 30 * time.Second
	// farewellTime is how long a client that was refused gets to read why, as from net/http.
	farewellTime = 500 * time.Millisecond
)

// Listener puts a door in front of an HTTP server: WebSocket handshakes and polls for this server are taken from the
// connections that l accepts and served on the hub's loops, and everything else that comes is what Accept returns. What a client sees
// is the same, but neither a handshake nor a poll that waits costs a goroutine or the buffers of net/http, which are most of
// what connecting and polling cost.
//
//	l, err := net.Listen("tcp", ":3000")
//	…
//	http.Serve(io.Listener(l), mux)
//
// The HTTP server does not see what was taken: neither its ConnState hook nor handlers around this server are called. So
// nothing is taken once a middleware was added with [Server.Use]; and mine, when it is not nil, is asked, on a loop, where it
// must not block or keep r, and leaves those to the HTTP server for which it returns false. The context of a request that was taken
// has no value but [http.LocalAddrContextKey], and does not end with the connection. The functions of [Options] are called
// on a goroutine, as by net/http, and may wait.
//
// Taken is what asks for exactly [Options].Path, in a head of at most 4 KB that arrives within a second: handshakes, and
// GETs of polling sessions unless they are of protocol 3 or there is an [Options].OnHeaders, OnConnectionError or
// CORS.AllowOrigin. A connection that polls stays until it asks for anything else, or is idle for half a minute; then the HTTP
// server has it. The HTTP server's Shutdown does not wait for polls, and Close of [Server] does. TLS connections, and on systems where loops do not poll descriptors all, go by as they came. Close closes l and
// whatever has not been decided or is idle; sessions go on.
func (srv *Server) Listener(l net.Listener, mine func(r *http.Request) bool) net.Listener {
	d := &door{Listener: l, srv: srv, mine: mine, guests: make(map[*guest]struct{})}
	d.changed.L = &d.mu
	return d
}

// door is a listener whose connections are looked at. Any goroutine.
type door struct {
	net.Listener
	srv  *Server
	mine func(r *http.Request) bool
	once sync.Once // starts run

	mu      sync.Mutex
	changed sync.Cond
	guests  map[*guest]struct{}
	kept    int        // how many of them are kept
	passed  []net.Conn // for Accept
	err     error      // the same
	over    bool       // nothing will be accepted any more
}

// Accept implements [net.Listener]: it returns the next connection that is not for this server alone.
func (d *door) Accept() (net.Conn, error) {
	d.once.Do(func() { go d.run() })
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.passed) == 0 && d.err == nil {
		d.changed.Wait()
	}
	d.changed.Broadcast()
	if err := d.err; err != nil {
		if !d.over {
			d.err = nil
		}
		return nil, err
	}
	c := d.passed[0]
	d.passed[0] = nil
	d.passed = d.passed[1:]
	return c, nil
}

// run accepts connections until there is an error after which none will come. Between errors that pass it waits for
// Accept's caller, who pauses after each.
func (d *door) run() {
	for d.ready() {
		c, err := d.Listener.Accept()
		if err != nil {
			d.fail(err)
			continue
		}
		if !d.look(c) {
			d.pass(c)
		}
	}
}

// ready waits until Accept has fetched what there is.
func (d *door) ready() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.over && (d.err != nil || len(d.passed) >= doorQueue) {
		d.changed.Wait()
	}
	return !d.over
}

// fail gives Accept an error.
func (d *door) fail(err error) {
	var temporary interface{ Temporary() bool }
	passes := errors.As(err, &temporary) && temporary.Temporary()
	if !passes {
		d.end(err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.err = err
	}
	d.changed.Broadcast()
}

// pass gives Accept a connection.
func (d *door) pass(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		_ = c.Close() // nobody will fetch it
		return
	}
	d.passed = append(d.passed, c)
	d.changed.Broadcast()
}

// end is the end of accepting. The first one counts.
func (d *door) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.over, d.err = true, err
	for _, c := range d.passed {
		_ = c.Close()
	}
	d.passed = nil
	for g := range d.guests {
		g.loop.Post(g.leave)
	}
	d.changed.Broadcast()
}

func (d *door) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// Close implements [net.Listener].
func (d *door) Close() error {
	err := d.Listener.Close()
	d.end(&net.OpError{Op: "accept", Net: d.Addr().Network(), Addr: d.Addr(), Err: net.ErrClosed})
	return err
}

// look has a loop look at c. It reports false for what has to pass.
func (d *door) look(c net.Conn) bool {
	if d.srv.wrapped.Load() {
		return false
	}
	g := &guest{door: d, loop: d.srv.hub.Loops().Least(), local: c.LocalAddr(), remote: c.RemoteAddr().String()}
	if !d.enter(g) {
		return false
	}
	if err := g.loop.Peek(c, g); err != nil {
		d.forget(g)
		return false
	}
	return true
}

// enter counts a guest in, unless there are too many.
func (d *door) enter(g *guest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || len(d.guests)-d.kept >= d.srv.opts.MaxPending {
		return false
	}
	d.guests[g] = struct{}{}
	return true
}

// keep has a guest stay for more than one request, unless there are too many: one for each session, and as many that are
// between two sessions.
func (d *door) keep(g *guest) bool {
	if g.kept {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept/2 >= d.srv.opts.MaxSessions {
		return false
	}
	g.kept = true
	d.kept++
	return true
}

func (d *door) forget(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.guests[g]; ok && g.kept {
		d.kept--
	}
	delete(d.guests, g)
}

// guest is a connection at the door. It implements [coop.PeekHandler]. // loop
type guest struct {
	door   *door
	local  net.Addr
	remote string
	loop   *coop.Loop
	peek   *coop.Peek
	timer  coop.Timer
	looks  uint8
	known  bool // its request is being served
	gone   bool // it is somebody else's, or has ended
	kept   bool // it polls

	// Of the poll that is being answered, or was last:
	request *http.Request
	headers string // the request's, when it may be used again
	reply   *doorAnswer
	poll    *pollRequest // nil for a handshake, and when it is refused
}

// OnPeek implements [coop.PeekHandler].
func (g *guest) OnPeek(p *coop.Peek, head []byte, over bool) {
	switch {
	case g.peek == nil:
		g.peek = p
		g.timer.Init(g.loop, g.due)
		g.timer.Reset(doorPatience)
		if g.door.closed() {
			g.leave() // it was closed before the guest could be told
		}
		return
	case g.known:
		return
	}
	g.looks++
	r, size, ok := rereadHead(head, g.request, g.headers)
	if r == nil {
		switch {
		case !ok || over || g.looks >= doorLooks:
			g.pass()
		case g.kept && g.looks == 1:
			g.timer.Reset(doorPatience)
		}
		return
	}
	upgrade, query := isUpgrade(r), parseParams(r.URL)
	l := g.door.takes(r, query, upgrade, g.loop)
	switch {
	case l == nil, !upgrade && !g.door.keep(g):
		g.pass()
	case l != g.loop:
		g.move(l)
	case query.sid == "":
		g.headers = "" // of what a session keeps nothing may be changed
		g.serve(r, size)
	default:
		if r != g.request {
			g.headers = headersOf(head[:size])
		}
		g.serveGet(r, size)
	}
}

// takes returns the loop that a request is for, here if it is for any. nil: it is for net/http.
func (d *door) takes(r *http.Request, p params, upgrade bool, here *coop.Loop) *coop.Loop {
	srv := d.srv
	if r.URL.Path != srv.opts.Path || r.URL.RawPath != "" || srv.wrapped.Load() {
		return nil
	}
	switch {
	case upgrade && p.sid != "":
		return nil
	case !upgrade && (p.transport != Polling || p.version != 4 || r.Header["Upgrade"] != nil || srv.opts.pollsWait()):
		return nil
	case d.mine != nil && !d.mine(r):
		return nil
	case p.sid == "":
		return here
	}
	if s := srv.sessions.get(p.sid); s != nil {
		return s.loop
	}
	return nil
}

// pollsWait reports whether polls call functions of the application, which may.
func (o *Options) pollsWait() bool {
	return o.OnHeaders != nil || o.OnConnectionError != nil || o.CORS.AllowOrigin != nil
}

// move takes the connection to the loop of the session that it has a request for.
func (g *guest) move(l *coop.Loop) {
	c := g.peek.Return()
	next := &guest{door: g.door, loop: l, local: g.local, remote: g.remote}
	g.left()
	switch {
	case c == nil:
	case !g.door.enter(next):
		g.door.pass(c)
	case l.Peek(c, next) != nil:
		g.door.forget(next)
		g.door.pass(c)
	}
}

// pass lets the connection through to the HTTP server.
func (g *guest) pass() {
	if c := g.out(); c != nil {
		g.door.pass(c)
	}
}

// due is the end of the time that the connection had, to say something or to take an answer.
func (g *guest) due() {
	if g.peek.Unsent() {
		g.peek.Close()
		return
	}
	g.pass()
}

// leave ends the connection, because the door is closed, unless a request is being served already.
func (g *guest) leave() {
	if g.gone || g.known || g.peek == nil {
		return
	}
	if g.peek.Unsent() {
		g.peek.CloseBehind()
		return
	}
	if c := g.out(); c != nil {
		_ = c.Close()
	}
}

// out takes the connection away from the door.
func (g *guest) out() net.Conn {
	c := g.peek.Return()
	g.left()
	return c
}

// left is the end of the guest.
func (g *guest) left() {
	g.gone = true
	g.timer.Stop()
	g.door.forget(g)
}

// OnPeekClose implements [coop.PeekHandler].
func (g *guest) OnPeekClose(p *coop.Peek, _ error) {
	g.left()
	if g.known || p.Unsent() {
		g.lost()
	}
}

// lost tells a session that its client has not got an answer.
func (g *guest) lost() {
	switch {
	case g.poll != nil:
		g.poll.s.pollLost(g.poll)
	case g.reply != nil && g.reply.opened != nil:
		s := g.reply.opened
		s.later(func() { s.kill(ReasonTransportError) }) // its start may be posted only
	}
}

// serve answers a handshake whose head has size bytes, as net/http would have it answered.
func (g *guest) serve(r *http.Request, size int) {
	g.known = true
	g.timer.Stop()
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, g.local)
	r = r.WithContext(ctx)
	r.RemoteAddr = g.remote
	srv := g.door.srv
	a := &doorAnswer{loop: g.loop, guest: g}
	g.request, g.reply, g.poll = r, nil, nil
	if !srv.opts.waits() {
		srv.ServeHTTP(a, r)
		g.finish(a, size)
		return
	}
	go func() {
		g.ask(a, r)
		if !g.loop.Post(func() { g.finish(a, size) }) {
			a.orphaned()
		}
	}()
}

// waits reports whether a handshake calls functions of the application, which may.
func (o *Options) waits() bool {
	return o.AllowRequest != nil || o.GenerateID != nil || o.OnConnectionError != nil || o.OnInitialHeaders != nil ||
		o.OnHeaders != nil || o.CORS.AllowOrigin != nil
}

// ask is ServeHTTP on a goroutine. A panic ends the connection only, as in net/http.
func (g *guest) ask(a *doorAnswer, r *http.Request) {
	srv := g.door.srv
	defer func() {
		if v := recover(); v != nil {
			a.aborted = true
			if v != http.ErrAbortHandler {
				srv.log.Error("panic serving a handshake", "remote", r.RemoteAddr, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			}
		}
	}()
	srv.ServeHTTP(a, r)
}

// finish sends the answer. The answer that makes the connection a WebSocket leaves together with the first packet.
func (g *guest) finish(a *doorAnswer, size int) {
	c := a.socket
	g.reply = a
	switch {
	case g.gone: // the client, or the loop
		g.lost()
	case a.aborted:
		g.peek.Close()
	case !isUpgrade(g.request):
		if g.peek.Skip(size) == nil { // else OnPeekClose follows
			g.send()
		}
		return
	case c != nil:
		stream, err := g.peek.Take(size, c)
		if err != nil {
			g.door.srv.hub.Count("engineio_attach_failed")
			break
		}
		g.left()
		c.stream = stream
		c.s.known.Store(true)
		c.openBehind(a.raw)
		return
	default:
		w := &farewell{}
		stream, err := g.peek.Take(size, w)
		if err == nil {
			g.left()
			w.say(stream, a.bytes())
		}
	}
	if c != nil {
		c.s.orphaned()
	}
}

// farewell is a connection that has been refused: the client reads why, and then the end. It implements
// [coop.StreamHandler].
type farewell struct{ timer coop.Timer }

func (f *farewell) say(s *coop.Stream, answer []byte) {
	f.timer.Init(s.Loop(), s.Close)
	f.timer.Reset(farewellTime)
	if n, err := s.Write(answer); err != nil || n < len(answer) || s.CloseWrite() != nil {
		s.Close()
	}
}

// OnRead implements [coop.StreamHandler].
func (f *farewell) OnRead(*coop.Stream, []byte) {}

// OnWritable implements [coop.StreamHandler].
func (f *farewell) OnWritable(*coop.Stream) {}

// OnClose implements [coop.StreamHandler].
func (f *farewell) OnClose(*coop.Stream, error) { f.timer.Stop() }
