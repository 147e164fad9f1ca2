package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// key is 32 times the same byte.
func key(b byte) (k Key) { return Key(bytes.Repeat([]byte{b}, 32)) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors: what a client with the secret c and a server with the secret s say when what is random is known.
var (
	vectorClient, vectorServer       = key(1), key(2)
	vectorClientMeta, vectorServMeta = []byte(property("Socket-Type", "SUB")), []byte(property("Socket-Type", "PUB"))
	vectorClientRandom               = slices.Concat(bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{8}, 16))
	vectorServerRandom               = slices.Concat(bytes.Repeat([]byte{4}, 32), bytes.Repeat([]byte{5}, 32), bytes.Repeat([]byte{6}, 16), bytes.Repeat([]byte{7}, 16))
)

func TestCurveKeys(t *testing.T) {
	for secret, public := range map[byte]string{
		1: "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
		2: "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59",
		3: "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22",
		4: "ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b",
	} {
		secret := key(secret)
		if got := PublicKey(&secret); !bytes.Equal(got[:], unhex(t, public)) {
			t.Errorf("public key of %x: %x", secret, got)
		}
	}
}

// tap keeps what was written to a connection.
type tap struct {
	net.Conn
	wrote bytes.Buffer
}

func (t *tap) Write(p []byte) (int, error) {
	t.wrote.Write(p)
	return t.Conn.Write(p)
}

// TestCurveVectors runs a whole handshake with known randomness and compares every byte on the wire.
func TestCurveVectors(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	public := PublicKey(&vectorServer)
	wireS, wireC := &tap{Conn: ours}, &tap{Conn: theirs}
	server := (&CurveServer{Secret: vectorServer, random: bytes.NewReader(vectorServerRandom)}).Secure(wireS, Limits{})
	client := (&CurveClient{Server: public, Secret: vectorClient, random: bytes.NewReader(vectorClientRandom)}).Secure(wireC, Limits{})
	defer server.Close()
	defer client.Close()

	// Each side plays the NULL peer above: greeting and READY out, greeting and READY in.
	play := func(c net.Conn, own, want []byte, first bool) error {
		if _, err := c.Write(join(greeting("NULL"))); err != nil {
			return err
		}
		hello := make([]byte, greetingBytes)
		if _, err := io.ReadFull(c, hello); err != nil || !bytes.Equal(hello, appendGreeting(nil, "NULL", false)) {
			return errors.Join(errors.New("greeting"), err)
		}
		say := func() error { _, err := c.Write(appendCommand(nil, nullReady(own))); return err }
		if first {
			if err := say(); err != nil {
				return err
			}
		}
		want = appendCommand(nil, nullReady(want))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			return errors.Join(errors.New("metadata"), err)
		}
		if first {
			return nil
		}
		return say()
	}
	done := make(chan error, 1)
	go func() { done <- play(server, vectorServMeta, vectorClientMeta, false) }()
	if err := play(client, vectorClientMeta, vectorServMeta, true); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	if _, err := client.Write(AppendFrame(nil, []byte("\x01room"), false)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write(AppendFrame(nil, []byte("room"), true)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 7)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "\x00\x05\x01room" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := io.ReadFull(client, got[:6]); err != nil || string(got[:6]) != "\x01\x04room" {
		t.Fatalf("%q, %v", got[:6], err)
	}

	next := func(b *bytes.Buffer) (flags byte, body []byte) {
		h, ok := parseHeader(b.Bytes())
		if !ok {
			t.Fatal("no frame")
		}
		b.Next(h.len)
		return h.flags, b.Next(int(h.size))
	}
	for _, c := range []struct {
		name  string
		wire  *bytes.Buffer
		flags byte
		size  int
		sum   string // sha256, or the bytes themselves
	}{
		{"greeting C", &wireC.wrote, 0, 64, ""},
		{"greeting S", &wireS.wrote, 0, 64, ""},
		{"HELLO", &wireC.wrote, 4, 200, "b083d8adda3eaafccaaec29c08bbab5e9282ba71bda6d45b7fffdad6762cd56e"},
		{"WELCOME", &wireS.wrote, 4, 168, "15cf0af622a7ca87504d19a0083b994e963ba2c59538509e8a22d03f5d5f315b"},
		{"INITIATE", &wireC.wrote, 6, 276, "4a8c4fbe959684c084550710f9e36919420de8095ff2fad114dfdc5dd186fb04"},
		{"READY", &wireS.wrote, 4, 49, "adbc8ac8eb082387ff9d49d43e06f01bf7e61afa18eb66c2ff9a4819b8568493"},
		{"MESSAGE C", &wireC.wrote, 0, 38, "074d4553534147450000000000000003d319cde22b6db546c1d20f1c4a52f02d2db2587bb2ef"},
		{"MESSAGE S", &wireS.wrote, 0, 37, "074d4553534147450000000000000002308608e89c4f4e606d7c6c2618571feeec67fe90e6"},
	} {
		if c.sum == "" {
			c.wire.Next(c.size)
			continue
		}
		flags, body := next(c.wire)
		sum := sha256.Sum256(body)
		if flags != c.flags || len(body) != c.size || hex.EncodeToString(sum[:]) != c.sum && hex.EncodeToString(body) != c.sum {
			t.Errorf("%s: flags %d, %d bytes: %x", c.name, flags, len(body), body)
		}
	}
}

// serveCurve guards one end of a connection as a CURVE server and shakes hands in the background.
func serveCurve(t testing.TB, conf *CurveServer, local string, l Limits) (c *Conn, theirs net.Conn, opened <-chan *zmq4.Conn) {
	t.Helper()
	ours, theirs := pair(t, "tcp")
	c = New(conf.Secure(ours, l), local, l)
	t.Cleanup(func() { _ = c.Close(); c.Wait() })
	done := make(chan *zmq4.Conn, 1)
	go func() {
		conn, err := Open(c, zmq4.SocketType(local), true)
		if err != nil {
			c.Fail(err) // as an endpoint's owner closes
		}
		done <- conn
	}()
	return c, theirs, done
}

// scripted is a CURVE client made of the layouts alone, so that a test can say anything.
type scripted struct {
	t                 testing.TB
	conn              net.Conn
	server            Key // public
	secret, transient Key
	hello             Key // shared key
	key               Key // shared key, once WELCOME came
	vouching          Key // shared key of the vouch
	cookie            []byte
	session           *session
}

func newScripted(t testing.TB, conn net.Conn, server Key) *scripted {
	s := &scripted{t: t, conn: conn, server: server, secret: key(1), transient: key(3)}
	s.hello, _ = agree(&server, &s.transient)
	s.say(greeting("CURVE"))
	if _, err := io.ReadFull(conn, make([]byte, greetingBytes)); err != nil {
		t.Fatal(err)
	}
	return s
}

// say writes; a server that has closed already makes it fail, which the test sees where it reads.
func (s *scripted) say(b []byte) { _, _ = s.conn.Write(b) }

func (s *scripted) helloFrame() []byte {
	public := PublicKey(&s.transient)
	return appendCommand(nil, appendHello(nil, &public, 1, &s.hello))
}

// frame reads one frame; nil when the server has closed.
func (s *scripted) frame() []byte {
	s.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return nil
	}
	size := int(head[1])
	if head[0]&flagLong != 0 {
		rest := make([]byte, 7)
		if _, err := io.ReadFull(s.conn, rest); err != nil {
			return nil
		}
		size = int(rest[5])<<8 | int(rest[6])
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return nil
	}
	return body
}

// welcomed says HELLO and takes WELCOME.
func (s *scripted) welcomed() *scripted {
	s.t.Helper()
	s.say(s.helloFrame())
	transient, cookie, err := parseWelcome(s.frame(), &s.hello)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cookie = cookie
	s.key, _ = agree(&transient, &s.transient)
	vouching, _ := agree(&transient, &s.secret)
	s.vouching = vouching
	return s
}

func (s *scripted) initiateFrame(counter uint64, metadata []byte) []byte {
	public, transient := PublicKey(&s.secret), PublicKey(&s.transient)
	vouch := makeVouch(&transient, &s.server, bytes.Repeat([]byte{8}, 16), &s.vouching)
	return appendCommand(nil, appendInitiate(nil, s.cookie, counter, &public, vouch, metadata, &s.key))
}

// established shakes hands to the end.
func (s *scripted) established(metadata []byte) *scripted {
	s.t.Helper()
	s.welcomed().say(s.initiateFrame(2, metadata))
	counter, _, err := parseCurveReady(s.frame(), &s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.session = newSession(s.key, nonceClient, nonceServer, 2, counter)
	return s
}

// end says that nothing more comes.
func (s *scripted) end() {
	if err := s.conn.(*net.TCPConn).CloseWrite(); err != nil {
		s.t.Log(err) // reset already
	}
}

var pushMeta = []byte(property("Socket-Type", "PUSH"))

func curveConf() (*CurveServer, Key) {
	conf := &CurveServer{Secret: vectorServer}
	return conf, PublicKey(&conf.Secret)
}

// reasonOf is why a connection ended.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	if v := (*Violation)(nil); errors.As(err, &v) {
		return v.Reason
	}
	if err == nil {
		return "nothing"
	}
	return err.Error()
}

// TestCurveRefuses: what a client may say wrong in the handshake, and the reason that is counted. Nothing comes
// back but what is named.
func TestCurveRefuses(t *testing.T) {
	denied := &Violation{Reason: ReasonDenied, Detail: "a key that nobody knows", Told: "400"}
	wrong := key(9)
	for _, c := range []struct {
		name   string
		conf   func(*CurveServer)
		say    func(*scripted)
		reason string
		hears  string // the body of the last frame that the client gets
	}{
		{"another server key", nil, func(s *scripted) {
			public := PublicKey(&wrong)
			s.hello, _ = agree(&public, &s.transient)
			s.say(s.helloFrame())
		}, ReasonCurveServerKey, ""},
		{"unknown client key", func(c *CurveServer) { c.Admit = func(Key, string) error { return denied } },
			func(s *scripted) { s.welcomed().say(s.initiateFrame(2, pushMeta)) }, ReasonDenied, "\x05ERROR\x03400"},
		{"no time for it", func(c *CurveServer) { c.Allow = func() bool { return false } },
			func(s *scripted) { s.say(s.helloFrame()) }, ReasonCurveRate, ""},
		{"message at once", nil, func(s *scripted) { s.say(AppendFrame(nil, []byte("hi"), false)) }, ReasonCurveHello, ""},
		{"READY of NULL", nil, func(s *scripted) { s.say(ready("PUSH")) }, ReasonCurveHello, ""},
		{"HELLO of PLAIN", nil, func(s *scripted) { s.say(appendCommand(nil, []byte("\x05HELLO\x01a\x01b"))) }, ReasonCurveHello, ""},
		{"HELLO of 4 GiB", nil, func(s *scripted) { s.say([]byte{6, 0, 0, 0, 1, 0, 0, 0, 0}) }, ReasonCurveHello, ""},
		{"HELLO without end", nil, func(s *scripted) { s.say(s.helloFrame()[:100]); s.end() }, "EOF", ""},
		{"HELLO twice", nil, func(s *scripted) { s.welcomed().say(s.helloFrame()) }, ReasonCurveInitiate, ""},
		{"INITIATE at once", nil, func(s *scripted) { s.cookie = make([]byte, 96); s.say(s.initiateFrame(2, pushMeta)) }, ReasonCurveHello, ""},
		{"INITIATE of 4 GiB", nil, func(s *scripted) { s.welcomed().say([]byte{6, 0, 0, 0, 1, 0, 0, 0, 0}) }, ReasonCurveInitiate, ""},
		{"INITIATE with HELLO's counter", nil, func(s *scripted) { s.welcomed().say(s.initiateFrame(1, pushMeta)) }, ReasonCurveReplay, ""},
		{"MESSAGE in place of INITIATE", nil, func(s *scripted) {
			s.welcomed()
			s.say(newSession(s.key, nonceClient, nonceServer, 1, 0).seal(nil, 0, []byte("hi")))
		}, ReasonCurveInitiate, ""},
		{"a key that is not its own", nil, func(s *scripted) {
			s.welcomed()
			s.vouching, _ = agree(&s.server, &wrong)
			s.say(s.initiateFrame(2, pushMeta))
		}, ReasonCurveInitiate, ""},
		{"a vouch for another server", nil, func(s *scripted) {
			s.welcomed().server = PublicKey(&wrong)
			s.say(s.initiateFrame(2, pushMeta))
		}, ReasonCurveInitiate, ""},
		{"another socket type", nil, func(s *scripted) { s.welcomed().say(s.initiateFrame(2, []byte(property("Socket-Type", "SUB")))) },
			ReasonSocketType, "\x05ERROR\x1fa \"SUB\" peer on a PULL endpoint"},
		{"no metadata", nil, func(s *scripted) { s.welcomed().say(s.initiateFrame(2, nil)) }, ReasonReady, "\x05ERROR\x0eno Socket-Type"},
		{"a point of low order", nil, func(s *scripted) {
			s.say(appendCommand(nil, appendHello(nil, new(Key), 1, &s.hello)))
		}, ReasonCurveHello, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, public := curveConf()
			if c.conf != nil {
				c.conf(conf)
			}
			guarded, theirs, opened := serveCurve(t, conf, "PULL", Limits{})
			s := newScripted(t, theirs, public)
			c.say(s)
			heard := s.frame()
			_ = theirs.Close()
			if conn := <-opened; conn != nil {
				t.Fatal("let in")
			}
			if got := reasonOf(t, guarded.Err()); got != c.reason && !strings.Contains(got, c.reason) {
				t.Errorf("ended by %q, want %q (%v)", got, c.reason, guarded.Err())
			}
			if string(heard) != c.hears {
				t.Errorf("the client hears %q, want %q", heard, c.hears)
			}
		})
	}
}

// TestCurveReplayedHandshake: what another connection said is worth nothing, because the cookie is of one connection.
func TestCurveReplayedHandshake(t *testing.T) {
	conf, public := curveConf()
	_, theirs, opened := serveCurve(t, conf, "PULL", Limits{})
	s := newScripted(t, theirs, public).welcomed()
	initiate := s.initiateFrame(2, pushMeta)
	s.say(initiate)
	if <-opened == nil {
		t.Fatal("not let in")
	}
	guarded, theirs, opened := serveCurve(t, conf, "PULL", Limits{})
	again := newScripted(t, theirs, public).welcomed()
	again.say(initiate)
	if again.frame() != nil {
		t.Error("an answer")
	}
	if <-opened != nil || reasonOf(t, guarded.Err()) != ReasonCurveInitiate {
		t.Error("a replayed INITIATE was taken: ", guarded.Err())
	}
}

// TestCurveMessages: what is said wrong after the handshake, behind one good message that must be delivered.
func TestCurveMessages(t *testing.T) {
	for _, c := range []struct {
		name   string
		say    func(s *scripted) []byte
		reason string
	}{
		{"replay", func(s *scripted) []byte { s.session.sent--; return s.session.seal(nil, 0, []byte("good")) }, ReasonCurveReplay},
		{"counter going back", func(s *scripted) []byte { s.session.sent = 0; return s.session.seal(nil, 0, []byte("x")) }, ReasonCurveReplay},
		{"a frame taken out", func(s *scripted) []byte { s.session.sent++; return s.session.seal(nil, 0, []byte("x")) }, ReasonCurveReplay},
		{"plaintext", func(s *scripted) []byte { return AppendFrame(nil, []byte("plain"), false) }, ReasonCurveMessage},
		{"plaintext with MORE", func(s *scripted) []byte { return AppendFrame(nil, []byte("plain"), true) }, ReasonCurveMessage},
		{"plain PING", func(s *scripted) []byte { return command("PING", "\x00\x00") }, ReasonCurveMessage},
		{"long enough plaintext", func(s *scripted) []byte { return AppendFrame(nil, make([]byte, 100), false) }, ReasonCurveMessage},
		{"HELLO again", func(s *scripted) []byte { return s.helloFrame() }, ReasonCurveMessage},
		{"the server's nonce", func(s *scripted) []byte {
			return newSession(s.key, nonceServer, nonceClient, s.session.sent, 0).seal(nil, 0, []byte("x"))
		}, ReasonCurveMessage},
		{"too long", func(s *scripted) []byte { return AppendHeader(nil, 10_000, false) }, ReasonFrameSize},
		{"above the limit inside", func(s *scripted) []byte { return s.session.seal(nil, 0, make([]byte, 4001)) }, ReasonFrameSize},
		{"reserved flags inside", func(s *scripted) []byte { return sealInside(s, 4) }, ReasonFlags},
		{"a command with MORE", func(s *scripted) []byte { return sealInside(s, 3) }, ReasonFlags},
		{"a short PING", func(s *scripted) []byte { return s.session.seal(nil, flagCommand, []byte("\x04PING\x00")) }, ReasonPing},
		{"half a MESSAGE", func(s *scripted) []byte { b := s.session.seal(nil, 0, []byte("x")); return b[:len(b)-1] }, ReasonTruncated},
		{"half a multipart", func(s *scripted) []byte { return s.session.seal(nil, flagMore, []byte("x")) }, ReasonTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, public := curveConf()
			guarded, theirs, opened := serveCurve(t, conf, "PULL", Limits{FrameBytes: 4000})
			s := newScripted(t, theirs, public).established(pushMeta)
			conn := <-opened
			good := s.session.seal(nil, 0, []byte("good"))
			s.say(append(good, c.say(s)...))
			s.end()
			if msg, err := conn.RecvMsg(); err != nil || string(msg.Bytes()) != "good" {
				t.Fatalf("%v, %v", msg, err)
			}
			if msg, err := conn.RecvMsg(); err == nil {
				t.Fatalf("delivered %v", msg)
			}
			if got := reasonOf(t, guarded.Err()); got != c.reason {
				t.Errorf("ended by %q, want %q (%v)", got, c.reason, guarded.Err())
			}
		})
	}
}

// sealInside is a MESSAGE with any flags inside.
func sealInside(s *scripted, flags byte) []byte {
	s.session.sent++
	n := counterBytes(s.session.sent)
	body := append([]byte("\x07MESSAGE"), n...)
	return AppendFrame(nil, appendBox(body, append([]byte{flags}, "body"...), nonceOf(nonceClient, n), &s.key), false)
}

// TestCurveFlipped: any byte changed on its way, in any command of the client, ends the connection and delivers
// nothing. The length in a frame's header may say that more comes: then the end of the stream does.
func TestCurveFlipped(t *testing.T) {
	conf, public := curveConf()
	run := func(t *testing.T, stage int, at int) (size int) {
		guarded, theirs, opened := serveCurve(t, conf, "PULL", Limits{})
		defer theirs.Close()
		s := newScripted(t, theirs, public)
		flip := func(b []byte) []byte {
			size = len(b)
			b[at] ^= 0x40
			return b
		}
		switch stage {
		case 0:
			s.say(flip(s.helloFrame()))
		case 1:
			s.welcomed().say(flip(s.initiateFrame(2, pushMeta)))
		case 2:
			s.established(pushMeta).say(flip(s.session.seal(nil, 0, []byte("secret"))))
		}
		s.end()
		if stage < 2 {
			if got := s.frame(); got != nil {
				t.Errorf("byte %d: the answer %q", at, got)
			}
		}
		if conn := <-opened; conn != nil {
			if stage < 2 {
				t.Errorf("byte %d: let in", at)
			} else if msg, err := conn.RecvMsg(); err == nil {
				t.Errorf("byte %d: delivered %q", at, msg.Bytes())
			}
		}
		if err := guarded.Err(); err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("byte %d: ended by %v", at, err)
		}
		return size
	}
	for stage, name := range []string{"HELLO", "INITIATE", "MESSAGE"} {
		t.Run(name, func(t *testing.T) {
			for at, size := 0, 1; at < size; at++ {
				size = run(t, stage, at)
			}
		})
	}
}

// TestCurveClientFlipped is the same for what a server says.
func TestCurveClientFlipped(t *testing.T) {
	secret := key(2)
	public := PublicKey(&secret)
	for stage, name := range []string{"WELCOME", "READY", "MESSAGE"} {
		t.Run(name, func(t *testing.T) {
			for at, size := 0, 1; at < size; at++ {
				ours, theirs := pair(t, "tcp")
				client := New((&CurveClient{Server: public, Secret: key(1)}).Secure(ours, Limits{}), "SUB", Limits{})
				opened := make(chan *zmq4.Conn, 1)
				go func() {
					conn, err := Open(client, zmq4.Sub, false)
					if err != nil {
						client.Fail(err)
					}
					opened <- conn
				}()
				size = flippingServer(t, theirs, secret, stage, at)
				_ = theirs.(*net.TCPConn).CloseWrite()
				conn := <-opened
				if conn != nil {
					if stage < 2 {
						t.Errorf("byte %d: taken", at)
					} else if msg, err := conn.RecvMsg(); err == nil {
						t.Errorf("byte %d: delivered %q", at, msg.Bytes())
					}
				}
				if err := client.Err(); err == nil || errors.Is(err, ErrClosed) {
					t.Errorf("byte %d: ended by %v", at, err)
				}
				_ = client.Close()
				client.Wait()
				_ = theirs.Close()
			}
		})
	}
}

// flippingServer plays a server that changes a byte of one of its commands, and returns that one's length.
func flippingServer(t *testing.T, conn net.Conn, secret Key, stage, at int) (size int) {
	t.Helper()
	s := &scripted{t: t, conn: conn}
	say := func(now int, b []byte) bool {
		if now == stage {
			size = len(b)
			b[at] ^= 0x40
		}
		s.say(b)
		return now < stage
	}
	s.say(greeting("CURVE"))
	if _, err := io.ReadFull(conn, make([]byte, greetingBytes)); err != nil {
		t.Fatal(err)
	}
	client, _, err := parseHello(s.frame())
	if err != nil {
		t.Fatal(err)
	}
	shared, _ := agree(&client, &secret)
	transient := key(4)
	public := PublicKey(&transient)
	cookie, random := make([]byte, cookieBytes), make([]byte, 16)
	if !say(0, appendCommand(nil, appendWelcome(nil, &public, cookie, random, &shared))) {
		return size
	}
	key, _ := agree(&client, &transient)
	if _, _, _, _, err := openInitiate(s.frame(), cookie, 1, &key); err != nil {
		t.Fatal(err)
	}
	if !say(1, appendCommand(nil, appendCurveReady(nil, 1, vectorServMeta, &key))) {
		return size
	}
	say(2, newSession(key, nonceServer, nonceClient, 1, 2).seal(nil, 0, []byte("news")))
	return size
}

// TestCurveAndNull: peers of another mechanism are known by their greeting, on either side.
func TestCurveAndNull(t *testing.T) {
	conf, public := curveConf()
	for _, mechanism := range []string{"NULL", "PLAIN", "GSSAPI"} {
		guarded, theirs, opened := serveCurve(t, conf, "PULL", Limits{})
		if _, err := theirs.Write(greeting(mechanism)); err != nil {
			t.Fatal(err)
		}
		if <-opened != nil || reasonOf(t, guarded.Err()) != ReasonMechanism {
			t.Errorf("%s: %v", mechanism, guarded.Err())
		}
	}
	// HELLO at a NULL port.
	ours, theirs := pair(t, "tcp")
	null := New(ours, "PULL", Limits{})
	defer null.Wait()
	defer null.Close()
	s := &scripted{t: t, conn: theirs, server: public, transient: key(3)}
	s.say(join(greeting("NULL"), s.helloFrame()))
	if _, err := Open(null, zmq4.Pull, true); reasonOf(t, null.Err()) != ReasonReady {
		t.Error(err)
	}
	// A client that finds a NULL server.
	ours, theirs = pair(t, "tcp")
	client := New((&CurveClient{Server: public, Secret: key(1)}).Secure(ours, Limits{}), "PUSH", Limits{})
	defer client.Wait()
	defer client.Close()
	if _, err := theirs.Write(greeting("NULL")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(client, zmq4.Push, false); reasonOf(t, client.Err()) != ReasonMechanism {
		t.Error(err)
	}
}

// TestCurveSilence: the handshake's deadline holds wherever the client stops.
func TestCurveSilence(t *testing.T) {
	conf, public := curveConf()
	for _, say := range []func(*scripted){
		func(*scripted) {},
		func(s *scripted) { s.say(s.helloFrame()[:10]) },
		func(s *scripted) { s.welcomed() },
		func(s *scripted) { s.welcomed().say(s.initiateFrame(2, pushMeta)[:200]) },
	} {
		ours, theirs := pair(t, "tcp")
		c := New(conf.Secure(ours, Limits{}), "PULL", Limits{})
		done := make(chan error, 1)
		go func() { _, err := Open(c, zmq4.Pull, true); done <- err }()
		s := &scripted{t: t, conn: theirs, server: public, secret: key(1), transient: key(3)}
		s.hello, _ = agree(&public, &s.transient)
		s.say(greeting("CURVE"))
		if _, err := io.ReadFull(theirs, make([]byte, greetingBytes)); err == nil {
			say(s)
		}
		if err := c.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("let in")
		}
		_ = c.Close()
		c.Wait()
	}
}
