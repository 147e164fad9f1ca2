package engineio

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// needDoor skips a test where nothing can be taken at a door.
func needDoor(t *testing.T) {
	t.Helper()
	if portable {
		t.Skip("loops do not poll descriptors")
	}
}

// through runs fn with test servers behind a door, or without one.
func through(door bool, fn func()) {
	before := atDoor
	defer func() { atDoor = before }()
	atDoor = door
	fn()
}

// passing counts the connections that net/http gets.
type passing struct{ n atomic.Int64 }

func (p *passing) watch(s *server) {
	s.connState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			p.n.Add(1)
		}
	}
}

func (p *passing) want(t *testing.T, n int64) {
	t.Helper()
	eventually(t, "connections to come through the door", func() bool { return p.n.Load() >= n })
	if got := p.n.Load(); got != n {
		t.Errorf("%d connections came through the door, want %d", got, n)
	}
}

// everything reads to the end, without what differs by the second.
func (c *raw) everything() string {
	c.t.Helper()
	c.bound()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	return regexp.MustCompile(`Date: [^\r]*`).ReplaceAllString(string(b), "Date: now")
}

// What is refused at the door is refused in the very bytes that net/http sends.
func TestDoorRefusesAsNetHTTPDoes(t *testing.T) {
	needDoor(t)
	no := func(*http.Request, http.Header) error { return errors.New("not you") }
	headers := func(h http.Header, _ *http.Request) { h.Set("X-Hook", "here") }
	for name, c := range map[string]struct {
		o       Options
		target  string
		headers []string
	}{
		"version":            {target: "/socket.io/?EIO=3&transport=websocket"},
		"transport":          {target: "/socket.io/?EIO=4&transport=carrier-pigeon"},
		"no transport":       {target: "/socket.io/"},
		"polling":            {target: "/socket.io/?EIO=4&transport=polling"},
		"key":                {headers: []string{"Sec-WebSocket-Key", "short"}},
		"WebSocket version":  {headers: []string{"Sec-WebSocket-Version", "8"}},
		"subprotocol":        {headers: []string{"Sec-WebSocket-Protocol", ",;=\""}},
		"foreign origin":     {headers: []string{"Origin", "https://evil.example"}},
		"with CORS":          {o: Options{CORS: CORS{AllowedOrigins: []string{"https://a.example", "https://b.example"}, Credentials: true}}, headers: []string{"Origin", "https://evil.example"}},
		"CORS function":      {o: Options{CORS: CORS{AllowOrigin: func(*http.Request, string) bool { return false }}}, headers: []string{"Origin", "https://evil.example"}},
		"cross-site":         {headers: []string{"Sec-Fetch-Site", "cross-site"}},
		"host":               {o: Options{Hosts: []string{"elsewhere.example"}}},
		"AllowRequest":       {o: Options{AllowRequest: no}},
		"AllowRequest, CORS": {o: Options{AllowRequest: no, CORS: CORS{AllowedOrigins: []string{"*"}}, OnHeaders: headers}},
		"GenerateID":         {o: Options{GenerateID: func(*http.Request) (string, error) { return "", errors.New("none") }, OnInitialHeaders: headers}},
		"polling only":       {o: Options{Transports: []Transport{Polling}}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.target == "" {
				c.target = wsTarget
			}
			var got [2]string
			var passed passing
			for i, door := range []bool{false, true} {
				through(door, func() {
					passed.n.Store(0)
					s := serve(t, c.o, passed.watch)
					conn := s.dial(t)
					conn.write(upgradeRequest(c.target, c.headers...))
					got[i] = conn.everything()
				})
			}
			passed.want(t, 0)
			if got[1] != got[0] || got[0] == "" {
				t.Errorf("at the door: %q\nby net/http: %q", got[1], got[0])
			}
		})
	}
}

func TestDoorRefusesWhenThereIsNoRoom(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		fill func(*testing.T, *server)
	}{
		"full":     {Options{MaxSessions: 1}, func(t *testing.T, s *server) { s.connect(t) }},
		"rate":     {Options{HandshakeRate: 1}, func(t *testing.T, s *server) { s.connect(t); s.connect(t) }},
		"shutdown": {Options{}, func(t *testing.T, s *server) { _ = s.Close(context.Background()) }},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2]string
			for i, door := range []bool{false, true} {
				through(door, func() {
					s := serve(t, c.o)
					c.fill(t, s)
					conn := s.dial(t)
					conn.write(upgradeRequest(wsTarget))
					got[i] = conn.everything()
				})
			}
			if got[1] != got[0] || got[0] == "" {
				t.Errorf("at the door: %q\nby net/http: %q", got[1], got[0])
			}
		})
	}
}

// The 101 is the same, whatever is negotiated, and what the application is told.
func TestDoorOpensAsNetHTTPDoes(t *testing.T) {
	needDoor(t)
	type asked struct {
		remote, local, host, uri string
		header                   http.Header
	}
	for name, headers := range map[string][]string{
		"plain":    nil,
		"browser":  {"Origin", "http://chat.example", "Cookie", "a=b; c=d", "User-Agent", "Mozilla", "Accept-Language", "de", "X-Twice", "1", "x-twice", "2"},
		"deflate":  {"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"},
		"protocol": {"Sec-WebSocket-Protocol", "chat, superchat"},
	} {
		for _, hooks := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				var got [2]http.Header
				var told [2]asked
				for i, door := range []bool{false, true} {
					through(door, func() {
						o := Options{PerMessageDeflate: &Deflate{}, CORS: CORS{AllowedOrigins: []string{"*"}}}
						if hooks {
							o.AllowRequest = func(r *http.Request, h http.Header) error {
								h.Set("X-Allowed", r.Host)
								return nil
							}
						}
						var passed passing
						s := serve(t, o, passed.watch)
						conn := s.dial(t)
						conn.write(upgradeRequest(wsTarget, headers...))
						a := conn.response()
						if a.status != 101 {
							t.Fatal(a)
						}
						got[i] = a.header
						c := &socket{raw: conn}
						_, data := c.next()
						s.on(t, parseOpen(t, data).SID, func(sock *Socket) {
							r := sock.Request()
							told[i] = asked{r.RemoteAddr, r.LocalAddr, r.Header().Get("Host"), r.URL, r.Header()}
						})
						if told[i].remote != conn.LocalAddr().String() || told[i].local != s.addr {
							t.Errorf("from %s at %s", told[i].remote, told[i].local)
						}
						told[i].remote, told[i].local = "", ""
						c.text("4hello")
						c.wantText("4hello")
						if door {
							passed.want(t, 0)
						}
					})
				}
				if !reflect.DeepEqual(got[0], got[1]) {
					t.Errorf("headers: %v, by net/http %v", got[1], got[0])
				}
				if !reflect.DeepEqual(told[0], told[1]) {
					t.Errorf("request: %v, by net/http %v", told[1], told[0])
				}
			})
		}
	}
}

// What is not for the loops reaches net/http as if there were no door.
func TestDoorLetsThrough(t *testing.T) {
	get := "GET " + pollTarget + " HTTP/1.1\r\nHost: x\r\n\r\n"
	shake := string(upgradeRequest(wsTarget))
	for name, c := range map[string]struct {
		bytes  string
		status int
	}{
		"POST":             {strings.Replace(get, "GET", "POST", 1), 400},
		"protocol 3":       {strings.Replace(get, "EIO=4", "EIO=3", 1), 400},
		"no such poll":     {strings.Replace(get, "polling", "polling&sid=x", 1), 400},
		"other upgrade":    {strings.Replace(get, "Host", "Upgrade: h2c\r\nConnection: Upgrade\r\nHost", 1), 200},
		"other page":       {strings.Replace(get, "socket.io", "page", 1), 404},
		"below":            {strings.Replace(shake, "/socket.io/", "/socket.io/x", 1), 101},
		"escaped path":     {strings.Replace(shake, "/socket.io/", "/socket%2eio/", 1), 101},
		"HTTP/1.0":         {strings.Replace(shake, "HTTP/1.1", "HTTP/1.0", 1), 505},
		"absolute":         {strings.Replace(shake, "GET /", "GET http://chat.example/", 1), 101},
		"unknown session":  {string(upgradeRequest(wsTarget + "&sid=x")), 400},
		"with a body":      {strings.Replace(shake, "\r\n", "\r\nContent-Length: 2\r\n", 1) + "xx", 400},
		"long head":        {string(upgradeRequest(wsTarget, "X", strings.Repeat("x", maxDoorHead))), 101},
		"two hosts":        {strings.Replace(shake, "\r\n", "\r\nHost: y\r\n", 1), 400},
		"no host":          {strings.Replace(shake, "Host: chat.example\r\n", "", 1), 400},
		"folded header":    {strings.Replace(shake, "\r\n", "\r\nX: a\r\n b\r\n", 1), 101},
		"bare newlines":    {strings.ReplaceAll(shake, "\r\n", "\n"), 101},
		"no HTTP":          {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400},
		"control in value": {strings.Replace(shake, "\r\n", "\r\nX: a\x01\r\n", 1), 400},
	} {
		t.Run(name, func(t *testing.T) {
			through(true, func() {
				var passed passing
				s := serve(t, Options{}, passed.watch)
				conn := s.dial(t)
				conn.write([]byte(c.bytes))
				if a := conn.response(); a.status != c.status {
					t.Errorf("%v, want %d", a, c.status)
				}
				passed.want(t, 1)
			})
		})
	}
}

// A request may come in a few pieces; one that dawdles is net/http's, whole.
func TestDoorWaitsForTheHead(t *testing.T) {
	needDoor(t)
	through(true, func() {
		head := upgradeRequest(wsTarget)
		var passed passing
		s := serve(t, Options{}, passed.watch)
		open := func(pieces ...[]byte) *socket {
			c := &socket{raw: s.dial(t)}
			for i, p := range pieces {
				if i > 0 { // the first one has been seen, or is with net/http
					eventually(t, "a look", func() bool { return s.looked(c.LocalAddr()) >= i || passed.n.Load() > 0 })
				}
				c.write(p)
			}
			if a := c.response(); a.status != 101 {
				t.Fatal(a)
			}
			c.next()
			c.text("4x")
			c.wantText("4x")
			return c
		}
		open(head[:1], head[1:len(head)-1], head[len(head)-1:])
		passed.want(t, 0)

		var pieces [][]byte
		for _, b := range head[:doorLooks] {
			pieces = append(pieces, []byte{b})
		}
		open(append(pieces, head[doorLooks:])...)
		passed.want(t, 1)

		passed.n.Store(0)
		silent := &socket{raw: s.dial(t)}
		passed.want(t, 1) // after doorPatience
		silent.write(head)
		if a := silent.response(); a.status != 101 {
			t.Fatal(a)
		}
	})
}

// looked is how often the door has looked at a client's connection, many times if it is no guest.
func (s *server) looked(a net.Addr) int {
	d := s.door.(*door)
	d.mu.Lock()
	var at *guest
	for g := range d.guests {
		if g.remote == a.String() {
			at = g
		}
	}
	d.mu.Unlock()
	if at == nil {
		return 0
	}
	looks := make(chan int, 1)
	if !at.loop.Post(func() { looks <- int(at.looks) }) {
		return 0
	}
	return <-looks
}

// What a client sends behind its request, and its end, are not lost.
func TestDoorLosesNothing(t *testing.T) {
	for _, hooks := range []bool{false, true} {
		through(true, func() {
			var o Options
			if hooks {
				o.AllowRequest = func(*http.Request, http.Header) error { return nil }
			}
			s := serve(t, o)
			c := &socket{raw: s.dial(t)}
			c.write(append(upgradeRequest(wsTarget), append(clientFrame(ws.OpText, true, "4early"), clientFrame(ws.OpText, true, "4bird")...)...))
			if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if a := c.response(); a.status != 101 {
				t.Fatal(a)
			}
			_, data := c.next()
			sid := parseOpen(t, data).SID
			if got := s.waitMessages(t, sid, 2); got[0] != "early" || got[1] != "bird" {
				t.Errorf("got %q", got)
			}
			s.waitClosed(t, sid, ReasonTransportClose)
		})
	}
}

// A function of the application's may panic, or take its time while the client leaves or the server ends.
func TestDoorWithUnreliableApplications(t *testing.T) {
	needDoor(t)
	through(true, func() {
		entered, release := make(chan struct{}, 1), make(chan struct{})
		var mode atomic.Value
		mode.Store("panic")
		s := serve(t, Options{AllowRequest: func(*http.Request, http.Header) error {
			switch mode.Load() {
			case "panic":
				panic("application")
			case "wait":
				entered <- struct{}{}
				<-release
			}
			return nil
		}})
		before := s.settled(t)
		c := s.dial(t)
		c.write(upgradeRequest(wsTarget))
		c.wantEOF()
		_ = c.Close()

		mode.Store("wait")
		c = s.dial(t)
		c.write(upgradeRequest(wsTarget))
		<-entered
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		eventually(t, "the door to see it go", func() bool { return s.guests() == 0 })
		release <- struct{}{}
		s.wantUsage(t, before)

		c = s.dial(t)
		c.write(upgradeRequest(wsTarget))
		<-entered
		closed := make(chan error, 1)
		go func() { closed <- s.hub.Close() }()
		c.wantEOF()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		release <- struct{}{}
		eventually(t, "no session", func() bool { return s.Sessions() == 0 })
	})
}

func (s *server) guests() int {
	d := s.door.(*door)
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.guests)
}

// There are bounds to who may stand at the door, and who is beyond them is let through.
func TestDoorIsBounded(t *testing.T) {
	needDoor(t)
	through(true, func() {
		var passed passing
		s := serve(t, Options{MaxPending: 1}, passed.watch)
		s.dial(t)
		eventually(t, "a guest", func() bool { return s.guests() == 1 })
		s.dial(t)
		eventually(t, "the second one to pass", func() bool { return passed.n.Load() > 0 })
	})
}

// Closing ends those who have not said anything; sessions go on.
func TestDoorCloses(t *testing.T) {
	needDoor(t)
	through(true, func() {
		s := serve(t, Options{})
		c := s.connect(t)
		silent := s.dial(t)
		eventually(t, "a guest", func() bool { return s.guests() == 1 })
		if err := s.http.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		silent.wantEOF()
		if _, err := s.door.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		c.text("4x")
		c.wantText("4x")
	})
}

// scripted is a listener whose Accept returns what it is told to.
type scripted struct {
	accepts chan any // net.Conn or error
	n       atomic.Int64
	once    sync.Once
	done    chan struct{}
}

func (l *scripted) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepts:
		l.n.Add(1)
		if err, ok := a.(error); ok {
			return nil, err
		}
		return a.(net.Conn), nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *scripted) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *scripted) Addr() net.Addr { return &net.TCPAddr{} }

type temporary struct{ error }

func (temporary) Temporary() bool { return true }

// Errors that pass are the caller's, one at a time, so that it can wait; others are the end. Connections that are
// no descriptors pass, and not more of them than somebody fetches.
func TestDoorAcceptsAsItsListenerDoes(t *testing.T) {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	srv := New(h, Options{Wires: testWires}, func(*Socket) Handler { return nil })
	l := &scripted{accepts: make(chan any, 1000), done: make(chan struct{})}
	full := temporary{errors.New("too many open files")}
	l.accepts <- full
	l.accepts <- full
	d := srv.Listener(l, nil)
	for range 2 {
		if _, err := d.Accept(); err != full {
			t.Fatalf("Accept: %v", err)
		}
	}
	near, far := net.Pipe()
	defer far.Close()
	for range 2 * doorQueue {
		l.accepts <- near
	}
	if c, err := d.Accept(); err != nil || c != near {
		t.Fatalf("Accept: %v %v", c, err)
	}
	eventually(t, "a full queue", func() bool { return l.n.Load() >= doorQueue+2 })
	if n := l.n.Load(); n > doorQueue+4 {
		t.Errorf("%d were accepted", n)
	}
	broken := errors.New("broken")
	for len(l.accepts) > 0 {
		select {
		case <-l.accepts:
		default:
		}
	}
	l.accepts <- broken
	for err = nil; err == nil; {
		_, err = d.Accept()
	}
	if err != broken {
		t.Errorf("Accept: %v", err)
	}
	if _, err := d.Accept(); err != broken {
		t.Errorf("Accept again: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// What the door reads means the same to net/http.
func FuzzDoorHead(f *testing.F) {
	f.Add(upgradeRequest(wsTarget))
	f.Add(upgradeRequest(wsTarget, "Origin", "http://x", "Cookie", "a=b", "x-twice", "1", "X-Twice", "2"))
	f.Add([]byte("GET /socket.io/?a=b#c HTTP/1.1\r\nHost: [::1]:80\r\n\r\nrest"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nX:\r\nY: \t z \t\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n"))
	f.Add([]byte("GET //h/p HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		got, size, ok := readHead(p)
		if got == nil {
			if size != 0 || ok && len(p) >= maxDoorHead {
				t.Errorf("nothing of %d bytes, %v", size, ok)
			}
			return
		}
		src := bytes.NewReader(p)
		r := bufio.NewReader(src)
		want, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		if read := len(p) - src.Len() - r.Buffered(); read != size {
			t.Errorf("%d bytes, net/http reads %d", size, read)
		}
		if got.Method != want.Method || got.RequestURI != want.RequestURI || got.Host != want.Host || got.Proto != want.Proto ||
			got.ContentLength != want.ContentLength || got.Close != want.Close || !reflect.DeepEqual(got.URL, want.URL) || !reflect.DeepEqual(got.Header, want.Header) {
			t.Errorf("%+v, net/http has %+v", got, want)
		}
	})
}
