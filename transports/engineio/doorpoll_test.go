package engineio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pollRaw is a poll's head. headers are pairs of name and value.
func pollRaw(sid string, headers ...string) []byte {
	target := pollTarget
	if sid != "" {
		target += "&sid=" + sid
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: chat.example\r\n", target)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	return []byte(b.String() + "\r\n")
}

// bytes reads one response as it is, without what differs by the second.
func (c *raw) bytes() string {
	c.t.Helper()
	c.bound()
	var b strings.Builder
	length := 0
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			c.t.Fatal(err)
		}
		if strings.HasPrefix(line, "Date: ") {
			if _, err := http.ParseTime(strings.TrimSpace(line[len("Date: "):])); err != nil {
				c.t.Error(err)
			}
			line = "Date: now\r\n"
		}
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(n))
		}
		b.WriteString(line)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.t.Fatal(err)
	}
	return b.String() + string(body)
}

var sidInOpen = regexp.MustCompile(`"sid":"([^"]*)"`)

// hello opens a session by polling on c.
func (c *raw) hello(headers ...string) (sid, answer string) {
	c.t.Helper()
	c.write(pollRaw("", headers...))
	answer = c.bytes()
	m := sidInOpen.FindStringSubmatch(answer)
	if m == nil {
		c.t.Fatalf("no session: %q", answer)
	}
	return m[1], strings.ReplaceAll(answer, m[1], "SID")
}

// say sends from the server.
func (s *server) say(t *testing.T, sid, text string) {
	t.Helper()
	s.on(t, sid, func(sock *Socket) { sock.SendText([]byte(text)) })
}

// Polls that are answered at the door are answered in the very bytes that net/http sends.
func TestDoorPollsAsNetHTTPDoes(t *testing.T) {
	needDoor(t)
	long := strings.Repeat("many words, ", 10_000)
	for name, c := range map[string]struct {
		o       Options
		headers []string
		closes  bool
	}{
		"plain":           {},
		"browser":         {headers: []string{"Origin", "http://chat.example", "Connection", "keep-alive", "Cookie", "a=b", "Accept", "*/*", "User-Agent", "Mozilla"}},
		"MSIE":            {headers: []string{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Trident/7.0)"}},
		"gzip":            {headers: []string{"Accept-Encoding", "gzip, deflate, br"}},
		"deflate":         {headers: []string{"Accept-Encoding", "deflate"}},
		"no compression":  {o: Options{HTTPCompression: HTTPCompression{Off: true}}, headers: []string{"Accept-Encoding", "gzip"}},
		"close":           {headers: []string{"Connection", "close"}, closes: true},
		"all origins":     {o: Options{CORS: CORS{AllowedOrigins: []string{"*"}}}, headers: []string{"Origin", "https://a.example"}},
		"an origin":       {o: Options{CORS: CORS{AllowedOrigins: []string{"https://a.example", "https://b.example"}, Credentials: true, ExposedHeaders: []string{"X-A"}}}, headers: []string{"Origin", "https://b.example"}},
		"cookie":          {o: Options{Cookie: &Cookie{}}},
		"initial packet":  {o: Options{InitialPacket: "welcome"}},
		"AllowRequest":    {o: Options{AllowRequest: func(_ *http.Request, h http.Header) error { h.Set("X-Allowed", "yes"); return nil }}},
		"initial headers": {o: Options{OnInitialHeaders: func(h http.Header, _ *http.Request) { h.Set("X-First", "yes") }}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]string
			for i, door := range []bool{false, true} {
				through(door, func() {
					var passed passing
					s := serve(t, c.o, passed.watch)
					conn := s.dial(t)
					note := func(answer string) {
						got[i] = append(got[i], answer)
						if c.closes {
							conn.wantEOF()
							conn = s.dial(t)
						}
					}
					sid, answer := conn.hello(c.headers...)
					note(answer)
					s.say(t, sid, "ready")
					conn.write(pollRaw(sid, c.headers...))
					note(conn.bytes())
					for _, text := range []string{"waited for", long} {
						conn.write(pollRaw(sid, c.headers...))
						s.waitPolling(t, sid)
						s.say(t, sid, text)
						note(conn.bytes())
					}
					s.on(t, sid, func(sock *Socket) { sock.SendBinary([]byte{1, 2}) })
					conn.write(pollRaw(sid, append(c.headers, "X-More", "1")...))
					note(conn.bytes())
					conn.write(pollRaw(sid, c.headers...))
					s.waitPolling(t, sid)
					other := s.dial(t)
					other.write(pollRaw(sid, c.headers...))
					got[i] = append(got[i], other.bytes())
					note(conn.bytes())
					s.waitClosed(t, sid, ReasonTransportError)
					if door {
						passed.want(t, 0)
					}
				})
			}
			if !reflect.DeepEqual(got[0], got[1]) {
				t.Errorf("at the door: %.3000q\nby net/http: %.3000q", got[1], got[0])
			}
		})
	}
}

// What a polling handshake is refused with is the same, too, and the connection goes on.
func TestDoorRefusesPollsAsNetHTTPDoes(t *testing.T) {
	needDoor(t)
	for name, c := range map[string]struct {
		o       Options
		headers []string
	}{
		"transport":      {o: Options{Transports: []Transport{WebSocket}}},
		"foreign origin": {headers: []string{"Origin", "https://evil.example"}},
		"cross-site":     {headers: []string{"Sec-Fetch-Site", "cross-site"}},
		"host":           {o: Options{Hosts: []string{"elsewhere.example"}}},
		"AllowRequest":   {o: Options{AllowRequest: func(*http.Request, http.Header) error { return errors.New("not you") }}},
		"GenerateID":     {o: Options{GenerateID: func(*http.Request) (string, error) { return "", errors.New("none") }}},
		"rate":           {o: Options{AddressHandshakeRate: -1, HandshakeRate: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]string
			for i, door := range []bool{false, true} {
				through(door, func() {
					var passed passing
					s := serve(t, c.o, passed.watch)
					if name == "rate" {
						s.connect(t)
						s.connect(t)
						passed.n.Store(0)
					}
					conn := s.dial(t)
					for range 2 {
						conn.write(pollRaw("", c.headers...))
						got[i] = append(got[i], conn.bytes())
					}
					if door {
						passed.want(t, 0)
					}
				})
			}
			if !reflect.DeepEqual(got[0], got[1]) || strings.HasPrefix(got[0][0], "HTTP/1.1 200") {
				t.Errorf("at the door: %q\nby net/http: %q", got[1], got[0])
			}
		})
	}
}

// behindDoor is a server behind a door, and a session that has polled there on conn.
func behindDoor(t *testing.T, o Options) (s *server, passed *passing, conn *raw, sid string) {
	t.Helper()
	needDoor(t)
	passed = new(passing)
	through(true, func() { s = serve(t, o, passed.watch) })
	conn = s.dial(t)
	sid, _ = conn.hello()
	return s, passed, conn, sid
}

func (c *raw) wantBody(want string) {
	c.t.Helper()
	if a := c.response(); a.status != 200 || a.body != want {
		c.t.Fatalf("%.200v, want %.200q", a, want)
	}
}

// guest is the one with the connection of c.
func (s *server) guest(c *raw) (at *guest) {
	d := s.door.(*door)
	d.mu.Lock()
	defer d.mu.Unlock()
	for g := range d.guests {
		if g.remote == c.LocalAddr().String() {
			at = g
		}
	}
	return at
}

// A connection whose polls were answered at the door goes on to net/http with the first request that is none, and nothing
// of it is missing.
func TestDoorLetsThroughBehindPolls(t *testing.T) {
	s, passed, conn, sid := behindDoor(t, Options{})
	post := fmt.Sprintf("POST %s&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n4hello", pollTarget, sid)
	conn.write([]byte(post + string(pollRaw(sid))))
	conn.wantBody("ok")
	conn.wantBody("4hello")
	passed.want(t, 1)
	if n := s.guests(); n != 0 {
		t.Errorf("%d guests are left", n)
	}
	conn.write([]byte("GET /page HTTP/1.1\r\nHost: x\r\n\r\n"))
	if a := conn.response(); a.status != 404 {
		t.Error(a)
	}

	c := s.dial(t) // one that becomes a WebSocket
	c.hello()
	c.write(upgradeRequest(wsTarget))
	if a := c.response(); a.status != 101 {
		t.Fatal(a)
	}
	web := &socket{raw: c}
	web.next()
	web.text("4x")
	web.wantText("4x")
	passed.want(t, 1)
}

// Connections that are idle, or dawdle, are net/http's after a while.
func TestDoorLetsThroughWhoIsIdle(t *testing.T) {
	s, passed, conn, sid := behindDoor(t, Options{})
	head := pollRaw(sid)
	conn.write(head[:20])
	passed.want(t, 1) // after doorPatience
	s.say(t, sid, "x")
	conn.write(head[20:])
	conn.wantBody("4x")

	conn = s.dial(t)
	sid, _ = conn.hello()
	g := s.guest(conn)
	g.loop.Post(g.due) // after doorIdle
	passed.want(t, 2)
	s.say(t, sid, "x")
	conn.write(pollRaw(sid))
	conn.wantBody("4x")
}

// Polls come on any connection, and are answered on the session's loop.
func TestDoorMovesPolls(t *testing.T) {
	s, passed, _, sid := behindDoor(t, Options{})
	moved := false
	home := s.session(t, sid).sock.Loop()
	for i := range 8 {
		s.dial(t) // changes which loop has the least to do
		conn := s.dial(t)
		eventually(t, "a guest", func() bool { return s.guest(conn) != nil })
		moved = moved || s.guest(conn).loop != home
		conn.write(pollRaw(sid))
		s.waitPolling(t, sid)
		if g := s.guest(conn); g == nil || g.loop != home {
			t.Error("it is not on the session's loop")
		}
		text := strconv.Itoa(i)
		s.say(t, sid, text)
		conn.wantBody("4" + text)
		if i%2 == 0 {
			_ = conn.Close()
		}
	}
	if !moved {
		t.Error("none came to the other loop")
	}
	passed.want(t, 0)
}

// Requests that come before their time wait for it.
func TestDoorPollsInARow(t *testing.T) {
	s, passed, conn, sid := behindDoor(t, Options{})
	conn.write(bytes.Repeat(pollRaw(sid), 3))
	for i := range 3 {
		s.waitPolling(t, sid)
		text := strconv.Itoa(i)
		s.say(t, sid, text)
		conn.wantBody("4" + text)
	}
	other := s.dial(t)
	other.write(append(pollRaw(""), pollRaw("")...))
	first, second := other.bytes(), other.bytes()
	if !strings.Contains(first, "sid") || !strings.Contains(second, "sid") || first == second {
		t.Errorf("%q and %q", first, second)
	}
	passed.want(t, 0)
}

// A client that goes while its poll waits, or before it has its answer, ends the session.
func TestDoorLosesPollers(t *testing.T) {
	s, _, conn, sid := behindDoor(t, Options{})
	conn.write(pollRaw(sid))
	s.waitPolling(t, sid)
	_ = conn.Close()
	s.waitClosed(t, sid, ReasonTransportError)
	s.waitCount(t, "engineio_poll_aborted", 1)

	big := strings.Repeat("x", 900_000)
	for _, leave := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		func(*net.TCPConn) {}, // BodyTimeout
	} {
		s, _, conn, sid := behindDoor(t, Options{BodyTimeout: time.Second})
		s.fill(t, conn, sid, big)
		leave(conn.Conn.(*net.TCPConn))
		s.waitClosed(t, sid, ReasonTransportError)
		eventually(t, "no guest", func() bool { return s.guests() == 0 })
	}
}

// fill answers polls of a client that does not read until the system takes no more, and returns how many.
func (s *server) fill(t *testing.T, conn *raw, sid, text string) (n int) {
	t.Helper()
	g := s.guest(conn)
	for unsent := false; !unsent; n++ {
		if n == 40 {
			t.Fatal("the system takes everything")
		}
		s.say(t, sid, text)
		conn.write(pollRaw(sid))
		s.eventuallyOn(t, sid, "the answer", func(sock *Socket) bool {
			unsent = g.peek.Unsent()
			return sock.out.Len() == 0 || unsent
		})
	}
	return n
}

// An answer that leaves in pieces arrives whole, and the next request behind it is seen.
func TestDoorAnswersSlowReaders(t *testing.T) {
	s, passed, conn, sid := behindDoor(t, Options{})
	big := strings.Repeat("x", 900_000)
	n := s.fill(t, conn, sid, big)
	conn.write(pollRaw(sid))
	for range n {
		conn.wantBody("4" + big)
	}
	s.say(t, sid, "more")
	conn.wantBody("4more")
	passed.want(t, 0)
}

// Behind a door that is closed waiting polls get their answer, and idle connections end.
func TestDoorClosesWithPolls(t *testing.T) {
	s, _, idle, _ := behindDoor(t, Options{})
	conn := s.dial(t)
	sid, _ := conn.hello()
	conn.write(pollRaw(sid))
	s.waitPolling(t, sid)
	if err := s.http.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	idle.wantEOF()
	s.say(t, sid, "last")
	if got := conn.bytes(); !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, "4last") {
		t.Errorf("%q", got)
	}
	conn.wantEOF()
	eventually(t, "no guest", func() bool { return s.guests() == 0 })
}

// The client of a polling handshake may go while the application thinks.
func TestDoorForgetsPollersThatHaveGone(t *testing.T) {
	needDoor(t)
	through(true, func() {
		entered, release := make(chan struct{}), make(chan struct{})
		s := serve(t, Options{AllowRequest: func(*http.Request, http.Header) error {
			entered <- struct{}{}
			<-release
			return nil
		}})
		conn := s.dial(t)
		conn.write(pollRaw(""))
		<-entered
		_ = conn.Conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		eventually(t, "the door to see it go", func() bool { return s.guests() == 0 })
		release <- struct{}{}
		eventually(t, "no session", func() bool { return len(s.all()) == 1 && s.Sessions() == 0 })
	})
}

// all are the ids of the sessions that there were.
func (s *server) all() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.seen {
		ids = append(ids, id)
	}
	return ids
}

// Polls wait at the door only while nobody in front of the server wants to see them.
func TestDoorLeavesPollsToHooks(t *testing.T) {
	needDoor(t)
	for name, o := range map[string]Options{
		"OnHeaders":         {OnHeaders: func(http.Header, *http.Request) {}},
		"OnConnectionError": {OnConnectionError: func(ConnectionError) {}},
		"AllowOrigin":       {CORS: CORS{AllowOrigin: func(*http.Request, string) bool { return true }}},
		"too many":          {MaxSessions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			through(true, func() {
				var passed passing
				s := serve(t, o, passed.watch)
				if name == "too many" {
					for range 2 {
						s.dial(t).write(pollRaw(""))
					}
					eventually(t, "two that are kept", func() bool {
						d := s.door.(*door)
						d.mu.Lock()
						defer d.mu.Unlock()
						return d.kept == 2
					})
				}
				conn := s.dial(t)
				conn.write(pollRaw(""))
				_ = conn.bytes()
				passed.want(t, 1)
			})
		})
	}
}

// Both ways to read parameters read the same.
func FuzzParams(f *testing.F) {
	for _, q := range []string{"EIO=4&transport=polling&sid=x", "EIO=3&j=1&b64=1", "EIO=4&EIO=3&&sid&sid=a=b&j", "j&j=2&=&==", "t=a&b64=&EIO"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if strings.ContainsAny(query, "%+;") || strings.Count(query, "&") > 1000 {
			return
		}
		// The escaped character makes it the long way, and says nothing.
		got, want := parseParams(&url.URL{RawQuery: query}), parseParams(&url.URL{RawQuery: query + "&zz=%20"})
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A head that is read with the help of the one before means what it means alone.
func FuzzDoorHeadAgain(f *testing.F) {
	poll := string(pollRaw("x", "Cookie", "a=b"))
	f.Add(poll, poll)
	f.Add(poll, strings.Replace(poll, "sid=x", "sid=y&t=1", 1)+"rest")
	f.Add(poll, strings.Replace(poll, "HTTP/1.1", "HTTP/1.0", 1))
	f.Add(poll, strings.Replace(poll, "GET", "PUT", 1))
	f.Add(poll, strings.Replace(poll, "a=b", "a=c", 1))
	f.Add(poll, poll[:len(poll)-1])
	f.Add(poll, "\r\n"+poll)
	f.Fuzz(func(t *testing.T, first, second string) {
		last, size, _ := readHead([]byte(first))
		if last == nil {
			return
		}
		want, wantSize, wantOK := readHead([]byte(second))
		got, gotSize, gotOK := rereadHead([]byte(second), last, headersOf([]byte(first)[:size]))
		if !reflect.DeepEqual(got, want) || gotSize != wantSize || gotOK != wantOK {
			t.Errorf("%+v %d %v, want %+v %d %v", got, gotSize, gotOK, want, wantSize, wantOK)
		}
	})
}
