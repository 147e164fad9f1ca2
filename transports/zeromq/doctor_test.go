package zeromq

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/transports/zeromq/internal/guard"
)

// scriptedServer runs say for every connection and returns its endpoint.
func scriptedServer(t *testing.T, say func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				say(c)
			}()
		}
	}()
	return "tcp://" + ln.Addr().String()
}

// saying is a server that says something and then only reads.
func saying(t *testing.T, pieces ...[]byte) string {
	return scriptedServer(t, func(c net.Conn) {
		for _, p := range pieces {
			_, _ = c.Write(p) // the examiner may have gone
		}
		_, _ = io.Copy(io.Discard, c)
	})
}

func greetingOf(mechanism string, major, minor byte) []byte {
	g := guard.Greeting(mechanism)
	g[10], g[11] = major, minor
	return g
}

// TestDoctor: one case for each sentence.
func TestDoctor(t *testing.T) {
	t.Parallel() // it waits most of the time
	key := func() SecretKey {
		k, err := NewSecretKey()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	server, mine, other := key(), key(), key()
	dir, allow := t.TempDir(), t.TempDir()
	if _, _, err := WriteCertificates(allow, "me", mine, nil); err != nil {
		t.Fatal(err)
	}
	users := dir + "/users"
	if err := os.WriteFile(users, []byte("ann\n    password = \"wonder\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newFakeHub()
	null := listen(t, h, Options{Pull: anyPort, Sub: anyPort, Pub: anyPort})
	curve := listen(t, newFakeHub(), Options{Pull: anyPort, Pub: anyPort, Security: Security{CurveKey: server, AllowDir: allow}})
	plain := listen(t, newFakeHub(), Options{Pull: anyPort, Security: Security{PlainFile: users}})
	closed := listen(t, newFakeHub(), Options{Pull: anyPort, Security: Security{AllowFrom: []string{"192.0.2.1"}}})
	web := httptest.NewServer(http.NotFoundHandler())
	secureWeb := httptest.NewUnstartedServer(http.NotFoundHandler())
	secureWeb.Config.ErrorLog = log.New(io.Discard, "", 0)
	secureWeb.StartTLS()
	t.Cleanup(func() { web.Close(); secureWeb.Close() })
	tcp := func(url string) string { return "tcp://" + url[strings.LastIndex(url, "/")+1:] }
	gone := scriptedServer(t, nil)
	func() { // a port that was free a moment ago
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone = "tcp://" + ln.Addr().String()
		_ = ln.Close()
	}()
	d := Dialer{ServerKey: server.Public(), Key: mine}
	hello := greetingOf("NULL", 3, 1)

	var all together
	defer all.Wait()
	for _, c := range []struct {
		name     string
		endpoint string
		e        Examination
		says     string // the last sentence, or its beginning
		well     bool
	}{
		{"no endpoint", "http://x", Examination{}, `This is no endpoint: endpoint "http://x": want tcp://`, false},
		{"nobody", gone, Examination{}, "Nobody listens at tcp://127.0.0.1:", false},
		{"no file", "ipc://" + dir + "/none", Examination{}, "There is no socket file " + dir + "/none", false},
		{"silent", saying(t), Examination{}, "It takes connections and says nothing for", false},
		{"closes", scriptedServer(t, func(net.Conn) {}), Examination{}, "It takes connections and closes them without a word", false},
		{"HTTP", tcp(web.URL), Examination{}, "An HTTP server is there", false},
		{"HTTP that speaks first", saying(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n")), Examination{}, "An HTTP server is there", false},
		{"TLS", tcp(secureWeb.URL), Examination{}, "A TLS server is there", false},
		{"TLS alert", saying(t, []byte("\x15\x03\x01\x00\x02\x02\x28")), Examination{}, "A TLS server is there", false},
		{"SSH", saying(t, []byte("SSH-2.0-OpenSSH_9.6\r\n")), Examination{}, `Something else than ZeroMQ is there; it says "SSH-2.0`, false},
		{"ZMTP 1", saying(t, []byte{1, 0}), Examination{}, "It greets in ZMTP 1:", false},
		{"ZMTP 2", saying(t, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x08")), Examination{}, "It greets in ZMTP 2:", false},
		{"half a greeting", saying(t, hello[:30]), Examination{}, "It stops in the middle of its greeting, after 30 bytes", false},
		{"half a greeting and the end", scriptedServer(t, func(c net.Conn) { _, _ = c.Write(hello[:30]); _, _ = io.ReadFull(c, make([]byte, 12)) }),
			Examination{}, "It closes the connection in the middle of its greeting, after 30 bytes", false},
		{"a mechanism for terminals", saying(t, greetingOf("\x1b[31m\xff", 3, 1)), Examination{}, "It speaks the security mechanism ?[31m?, and you NULL", false},
		{"a type for terminals", saying(t, hello, rawReady("\x1b[31m\n")), Examination{}, "It is a ?[31m? socket, of which nobody", false},
		{"breaks the protocol", saying(t, hello, rawReady("PULL"), []byte("\xff\xff")), Examination{As: "PUSH"}, "It breaks ZeroMQ's protocol after the handshake: ", false},
		{"greeting only", saying(t, hello), Examination{As: "SUB"}, "It greets, and does not finish the handshake within", false},
		{"greets and closes", scriptedServer(t, func(c net.Conn) { _, _ = c.Write(hello); _, _ = io.ReadFull(c, make([]byte, 65)) }),
			Examination{As: "SUB"}, "It greets and closes without a reason: most likely its socket type", false},
		{"always closes", scriptedServer(t, func(c net.Conn) { _, _ = c.Write(hello); _, _ = io.ReadFull(c, make([]byte, 65)) }),
			Examination{}, "It greets and closes, whether one connects with", false},
		{"CURVE there", curve.Addr("pull"), Examination{}, "It speaks the security mechanism CURVE, and you NULL: give its public key", false},
		{"PLAIN there", plain.Addr("pull"), Examination{}, "It speaks the security mechanism PLAIN, and you NULL: give --user", false},
		{"NULL there", null.Addr("pull"), Examination{Dialer: d}, "It speaks the security mechanism NULL, and you CURVE: leave out", false},
		{"GSSAPI there", saying(t, greetingOf("GSSAPI", 3, 1)), Examination{}, "It speaks the security mechanism GSSAPI, and you NULL: nothing here", false},
		{"another server key", curve.Addr("pull"), Examination{Dialer: Dialer{ServerKey: other.Public(), Key: mine}}, "It has another key than the one in --server-key", false},
		{"no key", curve.Addr("pull"), Examination{Dialer: Dialer{ServerKey: server.Public()}}, "It does not let you in (ERROR 400): it wants to know the key", false},
		{"an unknown key", curve.Addr("pull"), Examination{Dialer: Dialer{ServerKey: server.Public(), Key: other}},
			"It does not let you in (ERROR 400): it does not know the public key " + other.Public().String(), false},
		{"a wrong password", plain.Addr("pull"), Examination{Dialer: Dialer{User: "ann", Password: "x"}}, "It does not let you in (ERROR 400): user or password is wrong", false},
		{"another address", closed.Addr("pull"), Examination{As: "PUSH"}, "It does not let you in (ERROR 400): it decides by address", false},
		{"an ERROR", saying(t, hello, []byte("\x04\x0c\x05ERROR\x05Busy.")), Examination{As: "PUSH"}, "It refuses the connection: ERROR Busy.", false},
		{"another type", null.Addr("pull"), Examination{As: "SUB"}, "It is a PULL socket, and SUB does not go with it: connect with PUSH.", false},
		{"another type at a client", saying(t, hello, rawReady("PUB")), Examination{As: "REQ"}, "It is a PUB socket, and REQ does not go with it: connect with SUB or XSUB.", false},
		{"a type that nobody knows", saying(t, hello, rawReady("RADIO")), Examination{}, "It is a RADIO socket, of which nobody here knows what fits", false},
		{"a PUSH", saying(t, hello, rawReady("PUSH")), Examination{}, "It is a PUSH socket, which would deal its messages to this examination: say --as pull", false},
		{"no PONG", saying(t, hello, rawReady("PULL")), Examination{}, "It does not answer a heartbeat within", false},
		{"leaves", scriptedServer(t, func(c net.Conn) {
			_, _ = c.Write(append(append([]byte{}, hello...), rawReady("PULL")...))
			_, _ = io.ReadFull(c, make([]byte, 64+2+40))
		}), Examination{As: "PUSH"}, "It closed the connection after the handshake", false},
		{"no message", null.Addr("pub"), Examination{Topic: "never"}, "No message came within 2s of subscribing to topics that start with \"never\"", false},
		{"no subscription", saying(t, hello, rawReady("SUB"), []byte("\x04\x05\x04PONG")), Examination{}, "No subscription came within", false},
		{"a PULL that is well", null.Addr("pull"), Examination{Wait: patience}, "It answers heartbeats.", true},
		{"a SUB that is well", null.Addr("sub"), Examination{Wait: patience}, `It subscribes; the first subscription is to "".`, true},
		{"CURVE that is well", curve.Addr("pull"), Examination{Dialer: d, Wait: patience}, "It answers heartbeats.", true},
		{"PLAIN that is well", plain.Addr("pull"), Examination{Dialer: Dialer{User: "ann", Password: "wonder"}, Wait: patience}, "It answers heartbeats.", true},
		{"libzmq's ROUTER", libzmqAt(t, "ROUTER"), Examination{Wait: patience}, "It answers heartbeats.", true},
		{"libzmq's PUB", libzmqAt(t, "PUB"), Examination{Wait: patience}, `Messages come; the first has the topic "tick".`, true},
		{"libzmq's SUB", libzmqAt(t, "SUB"), Examination{Wait: patience}, `It subscribes; the first subscription is to "tick".`, true},
		{"libzmq's PUSH", libzmqAt(t, "PUSH"), Examination{Wait: patience}, "It is a PUSH socket, which would deal its messages", false},
		{"libzmq's CURVE", libzmqAt(t, "PULL", "CURVE"), Examination{Wait: patience}, "It speaks the security mechanism CURVE, and you NULL", false},
		{"libzmq's PLAIN", libzmqAt(t, "PULL", "PLAIN"), Examination{Dialer: d, Wait: patience}, "It speaks the security mechanism PLAIN, and you CURVE", false},
		{"libzmq's NULL", libzmqAt(t, "PULL"), Examination{Dialer: Dialer{User: "ann"}, Wait: patience}, "It speaks the security mechanism NULL, and you PLAIN", false},
		{"libzmq's PULL as SUB", libzmqAt(t, "PULL"), Examination{As: "SUB", Wait: patience}, "It is a PULL socket, and SUB does not go with it: connect with PUSH.", false},
	} {
		all.run(t, c.name, func(t *testing.T) {
			if c.e.Wait == 0 {
				c.e.Wait = 2 * time.Second
			}
			r := Diagnose(t.Context(), c.endpoint, c.e)
			if len(r.Findings) == 0 {
				t.Fatal("nothing was found")
			}
			last := r.Findings[len(r.Findings)-1].Text
			if !strings.HasPrefix(last, c.says) || r.Well() != c.well {
				t.Errorf("found %+v", r.Findings)
			}
		})
	}
}

// libzmqAt starts a socket of pyzmq and returns where. A PUB publishes "tick" all the time, a SUB subscribes to it.
func libzmqAt(t *testing.T, typ ...string) string {
	t.Helper()
	p := python(t, "sockets.py", typ...)
	awaitText(t, p, "\n")
	return strings.TrimSpace(p.Output())
}

// TestUnreachable: what the network says, in words.
func TestUnreachable(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{&net.DNSError{Name: "nowhere"}, `No machine has the name "nowhere".`},
		{syscall.ECONNREFUSED, "Nobody listens at tcp://x:1."},
		{syscall.EACCES, "This user may not open tcp://x:1."},
		{syscall.ETIMEDOUT, "The machine does not answer"},
		{syscall.ENETUNREACH, "No connection: network is unreachable."},
	} {
		if got := unreachable("tcp://x:1", c.err); !strings.HasPrefix(got, c.says) {
			t.Errorf("%v: %s", c.err, got)
		}
	}
}
