package guard

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// canned is a connection on which a fixed input comes, in pieces of any size, and what is written is kept.
type canned struct {
	net.Conn // nil: nothing else is called
	in       []byte
	chunk    int
	out      bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.chunk)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) Close() error                     { return nil }

// drainSecure reads everything that s hands up.
func drainSecure(t *testing.T, s net.Conn) (up []byte, err error) {
	t.Helper()
	buf := make([]byte, 300)
	for idle := 0; ; {
		n, err := s.Read(buf)
		up = append(up, buf[:n]...)
		if err != nil {
			return up, err
		}
		if idle++; n > 0 {
			idle = 0
		}
		if idle > 1<<16 {
			t.Fatal("reads for ever")
		}
	}
}

// curveStreams are what a well-behaved client says to a server with known randomness, and what that server answers.
func curveStreams(t testing.TB) (client, server []byte) {
	t.Helper()
	public := PublicKey(&vectorServer)
	transientC, transientS := key(3), key(4)
	tc, ts := PublicKey(&transientC), PublicKey(&transientS)
	cookieKey := key(5)
	shared, _ := agree(&public, &transientC)
	both, _ := agree(&ts, &transientC)
	vouching, _ := agree(&ts, &vectorClient)
	cookie := makeCookie(&tc, &transientS, bytes.Repeat([]byte{6}, 16), &cookieKey)
	vouch := makeVouch(&tc, &public, bytes.Repeat([]byte{8}, 16), &vouching)
	long := PublicKey(&vectorClient)
	client = join(appendGreeting(nil, "CURVE", false),
		appendCommand(nil, appendHello(nil, &tc, 1, &shared)),
		appendCommand(nil, appendInitiate(nil, cookie, 2, &long, vouch, vectorClientMeta, &both)))
	up := newSession(both, nonceClient, nonceServer, 2, 0)
	client = up.seal(client, 0, []byte("\x01room"))
	client = up.seal(client, flagMore, bytes.Repeat([]byte("x"), 300))
	client = up.seal(client, 0, nil)
	client = up.seal(client, flagCommand, []byte("\x04PING\x00\x00"))
	server = join(appendGreeting(nil, "CURVE", true),
		appendCommand(nil, appendWelcome(nil, &ts, cookie, bytes.Repeat([]byte{7}, 16), &shared)),
		appendCommand(nil, appendCurveReady(nil, 1, vectorServMeta, &both)))
	down := newSession(both, nonceServer, nonceClient, 1, 0)
	server = down.seal(server, flagMore, []byte("room"))
	server = down.seal(server, 0, []byte("hello"))
	return client, server
}

// mutate changes a stream at a place, cuts it there, or inserts something.
func mutate(stream []byte, at uint16, insert []byte, flip byte) []byte {
	i := int(at) % (len(stream) + 1)
	out := append(append(bytes.Clone(stream[:i]), insert...), stream[i:]...)
	if i < len(out) {
		out[i] ^= flip
	}
	return out
}

// FuzzCurveServer: whatever is changed in what a client says, the server hands up nothing but a beginning of what the
// client meant, and does not depend on how the bytes were cut.
func FuzzCurveServer(f *testing.F) {
	good, _ := curveStreams(f)
	fuzzCurve(f, good, func(raw net.Conn) net.Conn {
		return (&CurveServer{Secret: vectorServer, random: bytes.NewReader(vectorServerRandom)}).Secure(raw, Limits{FrameBytes: 400})
	})
}

// FuzzCurveClient is the same for the client.
func FuzzCurveClient(f *testing.F) {
	_, good := curveStreams(f)
	fuzzCurve(f, good, func(raw net.Conn) net.Conn {
		s := (&CurveClient{Server: PublicKey(&vectorServer), Secret: vectorClient, random: bytes.NewReader(vectorClientRandom)}).Secure(raw, Limits{FrameBytes: 400})
		s.(*secure).mechanism.(*curveClient).metadata <- vectorClientMeta
		return s
	})
}

func fuzzCurve(f *testing.F, good []byte, secured func(net.Conn) net.Conn) {
	for at := 0; at < len(good); at += 13 {
		f.Add(uint16(at), []byte(nil), byte(1), uint8(at))
	}
	f.Add(uint16(0), []byte("GET / HTTP/1.1\r\n\r\n"), byte(0), uint8(3))
	f.Add(uint16(64), []byte("\x04\x0c\x05HELLO\x01a\x03abc"), byte(0), uint8(255))
	f.Add(uint16(64), []byte("\x06\xff\xff\xff\xff\xff\xff\xff\xff"), byte(0), uint8(255))
	f.Add(uint16(64), []byte("\x04\x0a\x05ERROR\x03400"), byte(0), uint8(255))
	f.Add(uint16(len(good)), []byte("\x00\x05plain"), byte(0), uint8(255))
	f.Add(uint16(len(good)), good[len(good)-40:], byte(0), uint8(0))
	want := func() []byte {
		up, err := drainOf(good, 1<<20, secured)
		if !errors.Is(err, io.EOF) {
			f.Fatalf("the unchanged stream ends with %v", err)
		}
		return up
	}()
	f.Fuzz(func(t *testing.T, at uint16, insert []byte, flip byte, chunk uint8) {
		stream := mutate(good, at, insert, flip)
		up, err := drainSecure(t, secured(&canned{in: stream, chunk: int(chunk) + 1}))
		whole, err2 := drainSecure(t, secured(&canned{in: stream, chunk: 1 << 20}))
		if !bytes.Equal(up, whole) || err.Error() != err2.Error() {
			t.Fatalf("depends on the pieces: %x, %v; %x, %v", up, err, whole, err2)
		}
		// Only a server's ERROR is not protected.
		if !bytes.HasPrefix(want, up) && !(len(up) > greetingBytes && bytes.Contains(up[greetingBytes:], []byte("\x05ERROR"))) {
			t.Fatalf("handed up %x", up)
		}
	})
}

func drainOf(stream []byte, chunk int, secured func(net.Conn) net.Conn) (up []byte, err error) {
	s := secured(&canned{in: bytes.Clone(stream), chunk: chunk})
	buf := make([]byte, 1<<16)
	for {
		n, err := s.Read(buf)
		up = append(up, buf[:n]...)
		if err != nil {
			return up, err
		}
	}
}

// FuzzPlainServer: no HELLO, however broken, does more than fail.
func FuzzPlainServer(f *testing.F) {
	hello := join(appendGreeting(nil, "PLAIN", false), appendCommand(nil, []byte("\x05HELLO\x03ann\x06wonder")),
		appendCommand(nil, join([]byte("\x08INITIATE"), vectorClientMeta)), AppendFrame(nil, []byte("hi"), false))
	for at := 64; at < len(hello); at += 3 {
		f.Add(uint16(at), []byte(nil), byte(1), uint8(at))
	}
	f.Fuzz(func(t *testing.T, at uint16, insert []byte, flip byte, chunk uint8) {
		stream := mutate(hello, at, insert, flip)
		let := false
		admit := func(user, password string) error {
			if let = user == "ann" && password == "wonder"; !let {
				return errors.New("no")
			}
			return nil
		}
		up, _ := drainSecure(t, (&PlainServer{Admit: admit}).Secure(&canned{in: stream, chunk: int(chunk) + 1}, Limits{}))
		if !let && len(up) > greetingBytes {
			t.Fatalf("not let in, and handed up %x", up)
		}
	})
}
