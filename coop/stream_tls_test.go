package coop_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"greenroom/coop"
)

// TLS in a stream of the loop's. What every stream does, the tests of streams try with it too (see kinds).

// onDescriptorsOnly skips a test of what goroutines do otherwise: they read ahead, and do not watch a paused peer.
func onDescriptorsOnly(t *testing.T) {
	t.Helper()
	if !onDescriptors {
		t.Skip("goroutines serve streams here")
	}
}

// tlsEchoes attaches a stream that sends back what it gets, and holds its peer up while that does not read.
func tlsEchoes(t *testing.T, l *coop.Loop, c net.Conn) (*coop.Stream, *handler) {
	t.Helper()
	h := newHandler()
	var rest []byte
	h.read = func(s *coop.Stream, p []byte) {
		n, _ := s.Write(p)
		if rest = append(rest, p[n:]...); len(rest) > 0 {
			s.PauseRead()
		}
	}
	h.writable = func(s *coop.Stream) {
		n, _ := s.Write(rest)
		if rest = rest[n:]; len(rest) == 0 {
			s.ResumeRead()
		}
	}
	return attach(t, l, c, h), h
}

// wantEcho sends text and wants it back.
func wantEcho(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, text)
}

func wantRead(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read %.200q, %v; want %.200q", got[:n], err, text)
	}
}

// TestTLSStreamVersions: over both families, of both versions.
func TestTLSStreamVersions(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (local, remote net.Conn){"tcp": tcpPair, "unix": unixPair} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				hangs(t)
				l := started(t, coop.LoopOptions{})
				local, remote := pair(t)
				secure, client := tlsPairOf(t, detachable(t, local), remote, &tls.Config{}, &tls.Config{MaxVersion: version})
				_, h := tlsEchoes(t, l, secure)
				if v := client.ConnectionState().Version; v != version {
					t.Errorf("version %x", v)
				}
				wantEcho(t, client, "hello")
				data := noise(1 << 20)
				go client.Write(data)
				wantRead(t, client, string(data))
				client.Close()
				wantErr(t, h.end(t), io.EOF)
			})
		}
	}
}

// counted counts what is read from a connection.
type counted struct {
	net.Conn
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

// TestTLSStreamIsBare: what the loop serves is a descriptor, and nobody else holds another.
func TestTLSStreamIsBare(t *testing.T) {
	onDescriptorsOnly(t)
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	raw := &counted{Conn: remote}
	secure, client := tlsPair(t, detachable(t, local), raw)
	s, h := tlsEchoes(t, l, secure)
	if !coop.OnDescriptor(s) {
		t.Error("served by goroutines")
	}
	if secure.LocalAddr().String() != remote.RemoteAddr().String() || secure.RemoteAddr().String() != remote.LocalAddr().String() {
		t.Errorf("addresses %v and %v", secure.LocalAddr(), secure.RemoteAddr())
	}
	if _, err := local.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection that it was: %v", err)
	}
	wantEcho(t, client, "hello")
	before := raw.read
	onLoop(t, l, s.Close)
	const goodbye = 24 // bytes has the record with close_notify
	if _, err := client.Read(make([]byte, 1)); err != io.EOF || raw.read-before != goodbye {
		t.Errorf("the end: %v, after %d bytes", err, raw.read-before)
	}
	wantErr(t, h.end(t), coop.ErrClosed)
}

// TestTLSStreamWithoutAHandshake: the handshake is made by the stream's reader, a goroutine.
func TestTLSStreamWithoutAHandshake(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	server := tls.Server(detachable(t, local), &tls.Config{Certificates: []tls.Certificate{certificate()}})
	s, h := tlsEchoes(t, l, server)
	if coop.OnDescriptor(s) {
		t.Error("served by the loop, which cannot make a handshake")
	}
	client := tls.Client(remote, &tls.Config{InsecureSkipVerify: true})
	wantEcho(t, client, "hello")
	client.Close()
	wantErr(t, h.end(t), io.EOF)
}

// corked is a connection that sends when it reads, or is told to.
type corked struct {
	net.Conn
	held []byte
}

func (c *corked) Write(p []byte) (int, error) { c.held = append(c.held, p...); return len(p), nil }
func (c *corked) Read(p []byte) (int, error)  { c.flush(); return c.Conn.Read(p) }
func (c *corked) flush() {
	c.Conn.Write(c.held)
	c.held = nil
}

// TestTLSStreamReadAhead: what came together with the end of the handshake is in crypto/tls's hands, and no event
// will tell.
func TestTLSStreamReadAhead(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	cork := &corked{Conn: remote}
	server := tls.Server(detachable(t, local), &tls.Config{Certificates: []tls.Certificate{certificate()}})
	client := tls.Client(cork, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("hello")) // behind the handshake's last message
	cork.flush()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_, h := tlsEchoes(t, l, server)
	wantRead(t, client, "hello")
	client.Close()
	cork.flush()
	wantErr(t, h.end(t), io.EOF)
}

// byBytes sends one byte at a time.
type byBytes struct{ net.Conn }

func (c byBytes) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestTLSStreamOfSingleBytes(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	secure, client := tlsPair(t, detachable(t, local), byBytes{remote})
	_, h := tlsEchoes(t, l, secure)
	for _, size := range []int{1, 2, 100, 5000} {
		wantEcho(t, client, string(noise(size)))
	}
	client.Close()
	wantErr(t, h.end(t), io.EOF)
}

// TestTLSStreamNewKeys: a peer of TLS 1.3 may change its keys and want the same of us, at any time.
func TestTLSStreamNewKeys(t *testing.T) {
	onDescriptorsOnly(t)
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	secure, hears, says := tlsSealer(t, detachable(t, local), remote)
	_, h := tlsEchoes(t, l, secure)
	var want strings.Builder
	for i := range 200 {
		text := strings.Repeat("x", i)
		want.WriteString(text + "\n")
		if i%3 != 0 {
			says.write(says.newKeys(), says.record(recordApplication, text+"\n"), says.newKeys())
			continue
		}
		// A message in two records, and maybe two reads.
		says.write(says.record(recordApplication, text), says.record(recordHandshake, keyUpdate[:3]))
		says.write(says.record(recordHandshake, keyUpdate[3:]))
		says.use(says.expand(says.secret, "traffic upd", 32))
		says.write(says.record(recordApplication, "\n"))
	}
	wantRead(t, hears, want.String())
	says.write(says.record(recordAlert, "\x01\x00")) // close_notify
	wantErr(t, h.end(t), io.EOF)
}

// TestTLSStreamKeyFlood: a peer that wants ever new keys and does not read what it gets for it is not read from any
// more, before much waits for it. When it reads, all goes on.
func TestTLSStreamKeyFlood(t *testing.T) {
	onDescriptorsOnly(t)
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := unixPair(t) // TCP becomes slow when one way is full
	smallBuffers(t, local)
	secure, _, says := tlsSealer(t, detachable(t, local), remote)
	const rounds = 20_000
	h := newHandler()
	var got atomic.Int64
	h.read = func(_ *coop.Stream, p []byte) { got.Add(int64(len(p))) }
	s := attach(t, l, secure, h)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range rounds {
			says.write(says.newKeys(), says.record(recordApplication, "x"))
		}
	}()
	await(t, "it is held up", func() (choked bool) {
		onLoop(t, l, func() {
			var bytes int
			if bytes, choked = coop.TLSBacklog(s); bytes > 70<<10 {
				t.Errorf("%d bytes wait for a peer that does not read", bytes)
			}
		})
		return choked
	})
	if n := got.Load(); n >= rounds {
		t.Error("it was not held up in time")
	}
	go io.Copy(io.Discard, remote)
	<-sent
	await(t, "the rest", func() bool { return got.Load() == rounds })
	says.write(says.record(recordAlert, "\x01\x00"))
	wantErr(t, h.end(t), io.EOF)
}

// TestTLSStreamBadRecords: what breaks the protocol ends that connection, and no other, with an alert.
func TestTLSStreamBadRecords(t *testing.T) {
	tamper := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	many := func(s *sealer, n int, kind byte, content string) (all []byte) {
		for range n {
			all = append(all, s.record(kind, content)...)
		}
		return all
	}
	for name, bad := range map[string]func(s *sealer) []byte{
		"a changed record":       func(s *sealer) []byte { return tamper(s.record(recordApplication, "x")) },
		"a record sent twice":    func(s *sealer) []byte { b := s.record(recordApplication, ""); return append(b, b...) },
		"no TLS":                 func(*sealer) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") },
		"a version that is none": func(*sealer) []byte { return []byte{recordApplication, 9, 9, 0, 1, 0} },
		"too large a record":     func(*sealer) []byte { return []byte{recordApplication, 3, 3, 0xff, 0xff, 0} },
		"a type that is none":    func(s *sealer) []byte { return s.record(99, "x") },
		"a handshake":            func(s *sealer) []byte { return s.record(recordHandshake, "\x01\x00\x00\x02\x03\x03") },
		"half a handshake, then data": func(s *sealer) []byte {
			return append(s.record(recordHandshake, "\x18"), s.record(recordApplication, "x")...)
		},
		"a huge handshake": func(s *sealer) []byte { return s.record(recordHandshake, "\x18\xff\xff\xff") },
		"empty records":    func(s *sealer) []byte { return many(s, 100, recordApplication, "") },
		"empty handshakes": func(s *sealer) []byte { return s.record(recordHandshake, "") },
		"an alert":         func(s *sealer) []byte { return s.record(recordAlert, "\x02\x28") },
		"half an alert":    func(s *sealer) []byte { return s.record(recordAlert, "\x02") },
		"new keys without data": func(s *sealer) (all []byte) {
			for range 100 {
				all = append(all, s.newKeys()...)
			}
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{})
			local, remote := tcpPair(t)
			other, client := tlsPair(t, detachable(t, local), remote)
			_, otherEnd := tlsEchoes(t, l, other)
			local, remote = tcpPair(t)
			secure, hears, says := tlsSealer(t, detachable(t, local), remote)
			_, h := tlsEchoes(t, l, secure)
			says.write(bad(says))
			if err := h.end(t); err == nil || errors.Is(err, io.EOF) || errors.Is(err, coop.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
			if n := h.calls.Load(); n != 1 {
				t.Errorf("%d × OnClose", n)
			}
			_, err := io.Copy(io.Discard, hears)
			if err == nil && name != "an alert" { // whose sender knows
				t.Error("the peer was told that all is well")
			}
			wantEcho(t, client, "hello")
			client.Close()
			wantErr(t, otherEnd.end(t), io.EOF)
		})
	}
}

// TestTLSStreamPeerGoesAway, in each state, by a reset or an end without good-bye.
func TestTLSStreamPeerGoesAway(t *testing.T) {
	onDescriptorsOnly(t)
	reset := func(remote net.Conn) {
		remote.(*net.TCPConn).SetLinger(0)
		remote.Close()
	}
	end := func(remote net.Conn) { remote.Close() }
	for name, tc := range map[string]struct {
		before func(s *coop.Stream)
		says   func(s *sealer) []byte
		goes   func(remote net.Conn)
		want   error // nil: any
	}{
		"idle, reset":              {goes: reset},
		"idle, end":                {goes: end, want: io.EOF},
		"in a record's head, end":  {says: func(s *sealer) []byte { return s.record(recordApplication, "x")[:3] }, goes: end, want: io.ErrUnexpectedEOF},
		"in a record, end":         {says: func(s *sealer) []byte { return s.record(recordApplication, "x")[:9] }, goes: end, want: io.ErrUnexpectedEOF},
		"in a record, reset":       {says: func(s *sealer) []byte { return s.record(recordApplication, "x")[:9] }, goes: reset},
		"between two halves, end":  {says: func(s *sealer) []byte { return s.record(recordHandshake, keyUpdate[:2]) }, goes: end, want: io.EOF},
		"while it is full, reset":  {before: func(s *coop.Stream) { s.Write(make([]byte, 32<<20)) }, goes: reset},
		"while it is full, end":    {before: func(s *coop.Stream) { s.Write(make([]byte, 32<<20)) }, goes: end}, // a reset, since there is something unread
		"paused, reset":            {before: (*coop.Stream).PauseRead, goes: reset},
		"paused and full, reset":   {before: func(s *coop.Stream) { s.PauseRead(); s.Write(make([]byte, 32<<20)) }, goes: reset},
		"having ended itself, end": {before: func(s *coop.Stream) { s.Close() }, goes: end, want: coop.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{})
			local, remote := tcpPair(t)
			secure, _, says := tlsSealer(t, detachable(t, local), remote)
			s, h := tlsEchoes(t, l, secure)
			if tc.before != nil {
				onLoop(t, l, func() { tc.before(s) })
			}
			if tc.says != nil {
				says.write(tc.says(says))
			}
			tc.goes(remote)
			err := h.end(t)
			if tc.want != nil && !errors.Is(err, tc.want) || err == nil || tc.want == nil && errors.Is(err, io.EOF) {
				t.Errorf("ended with %v, want %v", err, tc.want)
			}
			onLoop(t, l, func() {
				if n, err := s.Write([]byte("x")); n != 0 || err != coop.ErrClosed {
					t.Errorf("afterwards one writes %d, %v", n, err)
				}
			})
			if n := h.calls.Load(); n != 1 {
				t.Errorf("%d × OnClose", n)
			}
		})
	}
}

// TestTLSStreamLingers: what a stream has accepted is sent after its end, or its loop's, to a peer that takes its
// time.
func TestTLSStreamLingers(t *testing.T) {
	onDescriptorsOnly(t)
	for name, end := range map[string]func(l *coop.Loop, s *coop.Stream){
		"the stream closes": func(_ *coop.Loop, s *coop.Stream) { s.Close() }, // in the same tick: nothing more has left
		"the loop closes":   func(l *coop.Loop, _ *coop.Stream) { go l.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{})
			local, remote := unixPair(t)
			smallBuffers(t, local)
			secure, client := tlsPair(t, detachable(t, local), remote)
			h := newHandler()
			s := attach(t, l, secure, h)
			all := gather(client)
			data := noise(32 << 20)
			taken := 0
			onLoop(t, l, func() {
				for n := 1; n > 0; taken += n { // until it takes no more
					n, _ = s.Write(data[taken:])
				}
				end(l, s)
			})
			wantErr(t, h.end(t), coop.ErrClosed)
			if got := all(); !bytes.Equal(got, data[:taken]) {
				t.Errorf("got %d bytes of %d", len(got), taken)
			}
		})
	}
}

// TestTLSStreamOfTinyRecordsLetsOthersGo: records of one byte are as many as those of many, and cost as much.
func TestTLSStreamOfTinyRecordsLetsOthersGo(t *testing.T) {
	onDescriptorsOnly(t)
	hangs(t)
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	secure, _, says := tlsSealer(t, detachable(t, local), remote)
	const total, share = 20_000, 256 << 10 / 256
	h := newHandler()
	read, since, most := 0, 0, 0
	h.read = func(_ *coop.Stream, p []byte) {
		read += len(p)
		since++
		most = max(most, since)
	}
	var b []byte
	for range total {
		b = append(b, says.record(recordApplication, "x")...)
	}
	sent := make(chan struct{})
	go func() { defer close(sent); says.write(b) }()
	done := make(chan struct{})
	var look func() // runs once a tick
	look = func() {
		if since = 0; read == total {
			close(done)
			return
		}
		l.Post(look)
	}
	l.Post(look)
	attach(t, l, secure, h)
	<-done
	<-sent
	if most > share+1 {
		t.Errorf("%d records in one tick, want at most %d", most, share)
	}
}
