package zeromq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/internal/guard"
)

// pairOf writes a key pair into dir.
func pairOf(t testing.TB, dir, name string, metadata map[string]string) (SecretKey, string, string) {
	t.Helper()
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	public, secret, err := WriteCertificates(dir, name, k, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return k, public, secret
}

func awaitText(t testing.TB, p *testenv.Process, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, text); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
}

// TestPyzmqCurve: pyzmq peers with certificates of either make, over TCP and ipc, and what their permissions allow.
func TestPyzmqCurve(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, endpoint := range map[string]string{"tcp": anyPort, "ipc": "ipc://" + t.TempDir() + "/s"} {
		t.Run(name, func(t *testing.T) {
			keys, allow := t.TempDir(), t.TempDir()
			_, serverPublic, serverSecret := pairOf(t, keys, "server", nil)
			_, _, ours := pairOf(t, allow, "feeds", map[string]string{"publish": "lobby", "read": "prices.*"})
			finished(t, python(t, "certs.py", "create", keys, "theirs"))
			h := newFakeHub()
			b := listen(t, h, Options{Pull: endpoint, Pub: endpoint2(endpoint), Security: Security{CurveKeyFile: serverSecret, AllowDir: allow}})
			p := python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, ours)
			h.waitPub(t, "lobby", "hello")
			h.waitCount(t, reasonForbidden, 1)
			h.wait(t, "nothing else", func() bool { return len(h.pubs) == 1 })
			if from := h.pubs[0].From; from.ID != "zeromq" || from.User != "feeds" || from.Name != "feeds" {
				t.Errorf("from %+v", from)
			}
			stop(t, p)

			sub := python(t, "secure.py", "sub", b.Addr("pub"), "curve", serverPublic, ours)
			eventually(t, "the subscription", func() bool { return b.egress.topics.size() == 1 })
			h.emit(t, "secret", "e", "not for it")
			h.emit(t, "prices.eur", "e", "4.2")
			awaitText(t, sub, "prices.eur|e|4.2")
			if strings.Contains(sub.Output(), "secret") {
				t.Error(sub.Output())
			}
			_ = sub.Stop()

			// A key that is not in the directory, then is, then is not any more.
			theirs := filepath.Join(keys, "theirs.key_secret")
			refused := python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, theirs)
			awaitText(t, refused, "refused 400")
			h.waitCount(t, guard.ReasonDenied, 1)
			copyFile(t, filepath.Join(keys, "theirs.key"), filepath.Join(allow, "theirs.key"))
			b.Reload()
			p = python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, theirs)
			h.waitPub(t, "secret", "hello")
			if err := os.Remove(filepath.Join(allow, "theirs.key")); err != nil {
				t.Fatal(err)
			}
			awaitText(t, p, "disconnected") // ReloadEvery
			h.waitCount(t, reasonRevoked, 1)
			awaitText(t, p, "refused 400") // when it comes back
			stop(t, refused)

			// One whose file is being written, or whose directory is being replaced, may come back.
			theirFile, away := filepath.Join(allow, "theirs.key"), allow+".away"
			copyFile(t, filepath.Join(keys, "theirs.key"), theirFile)
			b.Reload()
			p = python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, theirs)
			awaitText(t, p, "let in")
			for i, step := range []struct{ undo, do func() error }{
				{func() error { return os.Truncate(theirFile, 50) }, func() error { copyFile(t, filepath.Join(keys, "theirs.key"), theirFile); return nil }},
				{func() error { return os.Rename(allow, away) }, func() error { return os.Rename(away, allow) }},
			} {
				if err := step.undo(); err != nil {
					t.Fatal(err)
				}
				b.Reload()
				h.waitCount(t, reasonRevoked, 2+i)
				var before int
				h.change(func() { before = h.counts[guard.ReasonAuthFailed] })
				h.waitCount(t, guard.ReasonAuthFailed, before+1)
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				b.Reload()
				eventually(t, "it comes back", func() bool { return strings.Count(p.Output(), "let in") == 2+i })
			}
			if strings.Contains(p.Output(), "refused") {
				t.Error(p.Output())
			}
			stop(t, p)
		})
	}
}

// endpoint2 is another endpoint of the same transport.
func endpoint2(endpoint string) string {
	if strings.HasPrefix(endpoint, "ipc") {
		return endpoint + "2"
	}
	return endpoint
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPyzmqCertificates: pyzmq reads what we write, and we what pyzmq writes, metadata included.
func TestPyzmqCertificates(t *testing.T) {
	dir := t.TempDir()
	k, public, secret := pairOf(t, dir, "ours", map[string]string{"publish": "prices.*,news", "read": "*", "control": "true"})
	if out := finished(t, python(t, "certs.py", "load", public)); strings.TrimSpace(out) != k.Public().String()+" none" {
		t.Error(out)
	}
	if out := finished(t, python(t, "certs.py", "load", secret)); strings.TrimSpace(out) != k.Public().String()+" "+k.Z85() {
		t.Error("another pair")
	}
	finished(t, python(t, "certs.py", "create", dir, "theirs", "user=ann", "publish=prices.*, news"))
	c, err := ReadCertificate(filepath.Join(dir, "theirs.key_secret"))
	if err != nil || c.Secret.Public() != c.Public || c.Metadata["user"] != "ann" || c.Metadata["publish"] != "prices.*, news" {
		t.Errorf("%+v, %v", c, err)
	}
	p, err := ReadCertificate(filepath.Join(dir, "theirs.key"))
	if err != nil || p.Public != c.Public || !p.Secret.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	k, public, secret := pairOf(t, dir, "ours", map[string]string{"publish": "a", "name": `the "one"`})
	info, err := os.Stat(secret)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	c, err := ReadCertificate(public)
	if err != nil || c.Public != k.Public() || c.Metadata["name"] != `the "one"` {
		t.Errorf("%+v, %v", c, err)
	}
	if _, _, err := WriteCertificates(dir, "ours", k, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	for _, name := range []string{"", "../a", "a/b", ".hidden", "a b"} {
		if _, _, err := WriteCertificates(dir, name, k, nil); err == nil {
			t.Errorf("the name %q", name)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(text, k.Z85()) || strings.Contains(text, hex.EncodeToString(k[:])) {
		t.Error("a secret key prints itself")
	}
	for _, bad := range []string{
		"", "curve\n", "curve\n    public-key = \"short\"\n", "    public-key = \"x\"\n",
		"curve\n    public-key = \"" + k.Public().String() + "\n",
		"curve\n    public-key = \"" + k.Public().String() + "\"\n    secret-key = \"" + strings.Repeat("0", 40) + "\"\n",
		"curve\n    public-key = \"" + k.Public().String() + "\"\n    public-key = \"" + k.Public().String() + "\"\n",
		strings.Repeat("# long\n", 200_000),
	} {
		if _, err := parseZPLCertificate(bad); err == nil {
			t.Errorf("taken: %.60q", bad)
		}
	}
}

func parseZPLCertificate(text string) (Certificate, error) {
	z, err := parseZPL(strings.NewReader(text))
	if err != nil {
		return Certificate{}, err
	}
	return certificateOf(z)
}

// TestPyzmqPlain: users of a file.
func TestPyzmqPlain(t *testing.T) {
	t.Parallel() // it waits most of the time
	users := filepath.Join(t.TempDir(), "users")
	text := "ann\n    password = \"won#der\"\n    publish = \"lobby\"\nbob\n    control = \"true\"\n"
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Security: Security{PlainFile: users, ReloadEvery: time.Hour}})
	p := python(t, "secure.py", "push", b.Addr("pull"), "plain", "ann", "won#der")
	h.waitPub(t, "lobby", "hello")
	h.waitCount(t, reasonForbidden, 1)
	if h.pubs[0].From.User != "ann" {
		t.Errorf("%+v", h.pubs[0].From)
	}
	for i, who := range [][2]string{{"ann", "won#de"}, {"bob", "x"}} {
		refused := python(t, "secure.py", "push", b.Addr("pull"), "plain", who[0], who[1])
		awaitText(t, refused, "disconnected") // libzmq 4.3 takes PLAIN's ERROR for a mistake, see guard.plainError
		h.waitCount(t, guard.ReasonDenied, i+1)
		if strings.Contains(refused.Output(), "let in") {
			t.Errorf("%v: let in", who)
		}
		stop(t, refused)
	}
	for i, d := range []Dialer{{User: "ann"}, {User: "bob"}, {User: "nobody", Password: "won#der"}, {Password: "won#der"}} { // bob has no password
		if _, err := d.Push(t.Context(), b.Addr("pull")); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("%+v: %v", d, err)
		}
		h.waitCount(t, guard.ReasonDenied, 3+i)
	}
	if err := os.WriteFile(users, []byte("ann\n    password = \"other\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Reload()
	h.waitCount(t, reasonRevoked, 1)
	h.waitCount(t, guard.ReasonDenied, 7) // when it comes back
	stop(t, p)
}

// TestPyzmqZAP: a handler of pyzmq decides, about CURVE and PLAIN; without its word nobody is let in.
func TestPyzmqZAP(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	_, serverPublic, serverSecret := pairOf(t, dir, "server", nil)
	client, _, clientSecret := pairOf(t, dir, "client", nil)
	stranger, _, strangerSecret := pairOf(t, dir, "stranger", nil)
	_ = stranger
	public := client.Public()
	handler := python(t, "zap.py", "ann", hex.EncodeToString(public[:]))
	awaitText(t, handler, "\n")
	zap := strings.TrimSpace(strings.TrimPrefix(handler.Output(), "bound "))

	t.Run("curve", func(t *testing.T) {
		h := newFakeHub()
		b := listen(t, h, Options{Pull: anyPort, Security: Security{CurveKeyFile: serverSecret, ZAP: zap}})
		p := python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, clientSecret)
		h.waitPub(t, "lobby", "hello")
		h.waitCount(t, reasonForbidden, 1)
		if h.pubs[0].From.User != "zed" {
			t.Errorf("%+v", h.pubs[0].From)
		}
		refused := python(t, "secure.py", "push", b.Addr("pull"), "curve", serverPublic, strangerSecret)
		awaitText(t, refused, "refused 400")
		awaitText(t, handler, "asked pull 127.0.0.1 CURVE 1\n")
		stop(t, p)
		stop(t, refused)
	})
	t.Run("plain", func(t *testing.T) {
		h := newFakeHub()
		b := listen(t, h, Options{Pull: anyPort, Security: Security{Plain: true, ZAP: zap, AuthTimeout: 300 * time.Millisecond}})
		p := python(t, "secure.py", "push", b.Addr("pull"), "plain", "ann", "any")
		h.waitPub(t, "lobby", "hello")
		stop(t, p)
		// libzmq tries again for ever: the refusal is not final.
		for _, user := range []string{"later", "silence", "nonsense"} {
			h := newFakeHub()
			b := listen(t, h, Options{Pull: anyPort, Security: Security{Plain: true, ZAP: zap, AuthTimeout: 300 * time.Millisecond}})
			p := python(t, "secure.py", "push", b.Addr("pull"), "plain", user, "any")
			h.waitCount(t, guard.ReasonAuthFailed, 2)
			if len(h.pubs) != 0 || strings.Contains(p.Output(), "let in") {
				t.Errorf("%s: let in", user)
			}
			stop(t, p)
		}
	})
	t.Run("no handler", func(t *testing.T) {
		h := newFakeHub()
		b := listen(t, h, Options{Pull: anyPort, Security: Security{Plain: true, ZAP: "ipc://" + dir + "/nobody"}})
		if _, err := (Dialer{User: "ann", Password: "any"}).Push(t.Context(), b.Addr("pull")); err == nil {
			t.Error("let in")
		}
		h.waitCount(t, guard.ReasonAuthFailed, 1)
	})
}

// TestAuthenticator: what it is told for each mechanism, and what its answers do.
func TestAuthenticator(t *testing.T) {
	secret, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		security Security
		dialer   Dialer
		want     AuthRequest
	}{
		{"null", Security{}, Dialer{}, AuthRequest{Domain: "pull", Address: "127.0.0.1", Mechanism: "NULL"}},
		{"plain", Security{Plain: true}, Dialer{User: "ann", Password: "wonder"}, AuthRequest{Domain: "pull", Address: "127.0.0.1", Mechanism: "PLAIN", User: "ann", Password: "wonder"}},
		{"curve", Security{CurveKey: secret}, Dialer{ServerKey: secret.Public(), Key: mine}, AuthRequest{Domain: "pull", Address: "127.0.0.1", Mechanism: "CURVE", Key: mine.Public()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answer error
			panics := errors.New("a mistake")
			requests := make(chan AuthRequest, 1)
			c.security.Authenticator = func(ctx context.Context, r AuthRequest) (Principal, error) {
				requests <- r
				if _, ok := ctx.Deadline(); !ok {
					t.Error("no deadline")
				}
				if answer == panics {
					panic(answer)
				}
				return Principal{User: "u", Publish: Patterns{"lobby"}}, answer
			}
			h := newFakeHub()
			b := listen(t, h, Options{Pull: anyPort, Security: c.security})
			p, err := c.dialer.Push(t.Context(), b.Addr("pull"))
			if err != nil {
				t.Fatal(err)
			}
			if got := <-requests; got != c.want {
				t.Errorf("asked %+v", got)
			}
			send(t, p, "secret", "no")
			send(t, p, "lobby", "yes")
			h.waitPub(t, "lobby", "yes")
			if len(h.pubs) != 1 || h.pubs[0].From.User != "u" || h.counts[reasonForbidden] != 1 {
				t.Errorf("%+v, %v", h.pubs, h.counts)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			answer = fmt.Errorf("not you: %w", ErrDenied)
			if _, err := c.dialer.Push(t.Context(), b.Addr("pull")); err == nil || !strings.Contains(err.Error(), "400") || strings.Contains(err.Error(), "not you") {
				t.Errorf("refused with %v", err)
			}
			<-requests
			answer = panics
			if _, err := c.dialer.Push(t.Context(), b.Addr("pull")); err == nil {
				t.Error("let in by a panic")
			}
			<-requests
			h.waitCount(t, guard.ReasonAuthFailed, 1)
			answer = errors.New("the database is down")
			if _, err := c.dialer.Push(t.Context(), b.Addr("pull")); err == nil || strings.Contains(err.Error(), "database") {
				t.Errorf("refused with %v", err)
			}
			<-requests
			h.waitCount(t, guard.ReasonDenied, 1)
			h.waitCount(t, guard.ReasonAuthFailed, 2)
		})
	}
}

// TestSecurityRefuses: what cannot be meant.
func TestSecurityRefuses(t *testing.T) {
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, public, _ := pairOf(t, dir, "a", nil)
	ask := func(context.Context, AuthRequest) (Principal, error) { return Principal{}, nil }
	for name, o := range map[string]Options{
		"curve that lets nobody decide": {Security: Security{CurveKey: k}},
		"two deciders":                  {Security: Security{CurveKey: k, AllowDir: dir, Authenticator: ask}},
		"any and some":                  {Security: Security{CurveKey: k, AllowDir: dir, AllowAny: true}},
		"curve and plain":               {Security: Security{CurveKey: k, Plain: true, Authenticator: ask}},
		"plain without users":           {Security: Security{Plain: true}},
		"keys without curve":            {Security: Security{AllowDir: dir}},
		"no such directory":             {Security: Security{CurveKey: k, AllowDir: dir + "/none"}},
		"no such file":                  {Security: Security{CurveKeyFile: dir + "/none", AllowAny: true}},
		"a public key for the server":   {Security: Security{CurveKeyFile: public, AllowAny: true}},
		"no address":                    {Security: Security{AllowFrom: []string{"somewhere"}}},
		"no endpoint":                   {Security: Security{Plain: true, ZAP: "http://x"}},
		"user and key": {Connect: []string{anyPort}, Security: Security{
			ServerKeys: map[string]PublicKey{anyPort: k.Public()}, ServerUsers: map[string]PlainUser{anyPort: {"a", "b"}}}},
		"key of nobody":              {Connect: []string{"tcp://127.0.0.1:1"}, Security: Security{ServerKeys: map[string]PublicKey{anyPort: k.Public()}}},
		"user of nobody":             {Security: Security{ServerUsers: map[string]PlainUser{anyPort: {"a", "b"}}}},
		"long user":                  {Connect: []string{anyPort}, Security: Security{ServerUsers: map[string]PlainUser{anyPort: {strings.Repeat("a", 256), "b"}}}},
		"plain for everyone to hear": {Pull: "tcp://0.0.0.0:0", Security: Security{Plain: true, Authenticator: ask}},
	} {
		if o.Pull == "" {
			o.Pull = anyPort
		}
		o.Logger = quiet
		if b, err := Listen(newFakeHub(), o); err == nil {
			t.Errorf("%s is allowed", name)
			_ = b.Close()
		}
	}
	listen(t, newFakeHub(), Options{Pull: "tcp://0.0.0.0:0", Security: Security{CurveKey: k, AllowAny: true}})
}

// TestAllowFrom: addresses, for NULL as well.
func TestAllowFrom(t *testing.T) {
	for _, c := range []struct {
		from []string
		ok   bool
	}{{[]string{"127.0.0.0/8"}, true}, {[]string{"192.0.2.1", "127.0.0.1"}, true}, {[]string{"192.0.2.0/24", "::1"}, false}} {
		h := newFakeHub()
		b := listen(t, h, Options{Pull: anyPort, Security: Security{AllowFrom: c.from}})
		p, err := Push(t.Context(), b.Addr("pull"))
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.from, err)
		}
		if err == nil {
			_ = p.Close()
		} else {
			h.waitCount(t, guard.ReasonDenied, 1)
		}
	}
}

// TestHandshakeRate: what is above the limit is closed and counted; who is connected already is not touched.
func TestHandshakeRate(t *testing.T) {
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Security: Security{CurveKey: k, AllowAny: true, HandshakesPerSecond: 1}})
	d := Dialer{ServerKey: k.Public()}
	first, err := d.Push(t.Context(), b.Addr("pull"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for refused := false; !refused; { // on a slow machine a second may pass in between
		p, err := d.Push(t.Context(), b.Addr("pull"))
		if refused = err != nil; !refused {
			_ = p.Close()
		}
	}
	h.waitCount(t, guard.ReasonCurveRate, 1)
	send(t, first, "lobby", "still here")
	h.waitPub(t, "lobby", "still here")
}

// TestCurvePublisherElsewhere: the SUB that connects speaks CURVE where it has the publisher's key.
func TestCurvePublisherElsewhere(t *testing.T) {
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	upstream := listen(t, newFakeHub(), Options{Pub: anyPort, Security: Security{CurveKey: k, AllowAny: true}})
	addr := upstream.Addr("pub")
	h := newFakeHub()
	listen(t, h, Options{Connect: []string{addr}, Security: Security{ServerKeys: map[string]PublicKey{addr: k.Public()}}})
	eventually(t, "the subscription", func() bool { return upstream.egress.topics.size() == 1 })
	upstream.hub.(*fakeHub).emit(t, "lobby", "news", "from afar")
	h.waitPub(t, "lobby", "from afar")
}

// TestPyzmqCurvePublishers: libzmq's PUB with CURVE is subscribed to by who has its key, also after it has been
// restarted, and not by who has another or none.
func TestPyzmqCurvePublishers(t *testing.T) {
	keys, at := t.TempDir(), "tcp://"+testenv.FreeAddr(t)
	pair, _, secret := pairOf(t, keys, "feed", nil)
	other, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CURVE_KEY", secret)
	p := startPublisher(t, at, "lobby")
	h := newFakeHub()
	o := quick(Options{Connect: []string{at}, SubTopics: []string{"lobby"}})
	o.Security.ServerKeys = map[string]PublicKey{at: pair.Public()}
	b := listen(t, h, o)
	for n := range 2 {
		waitOutput(t, p, "+lobby\n")
		eventually(t, "the connection", func() bool { return b.Publishers()[0].Connects == n+1 })
		h.change(func() { h.pubs = nil })
		h.wait(t, "its messages", func() bool { return len(h.pubs) > 2 && h.pubs[2].Room == "lobby" })
		if n == 0 {
			p.Kill()
			p = startPublisher(t, at, "lobby")
		}
	}
	for name, keys := range map[string]map[string]PublicKey{"another key": {at: other.Public()}, "no key": nil} {
		o := quick(Options{Connect: []string{at}, SubTopics: []string{"never"}})
		o.Security.ServerKeys = keys
		b := listen(t, newFakeHub(), o)
		eventually(t, name+": the refusal", func() bool { return b.Publishers()[0].Err != nil })
		if b.Publishers()[0].Connects > 0 {
			t.Errorf("%s: connected", name)
		}
	}
	if got := subscriptions(p); !slices.Equal(got, []string{"+lobby"}) {
		t.Errorf("told %q", got)
	}
}

// TestPyzmqPlainPublishers: libzmq's PUB with PLAIN is subscribed to by the user that its ZAP handler knows, also after
// it has been restarted, and not with another password or none.
func TestPyzmqPlainPublishers(t *testing.T) {
	at := "tcp://" + testenv.FreeAddr(t)
	t.Setenv("PLAIN_USER", "ann won#der")
	p := startPublisher(t, at, "lobby")
	h := newFakeHub()
	o := quick(Options{Connect: []string{at}, SubTopics: []string{"lobby"}})
	o.Security.ServerUsers = map[string]PlainUser{at: {"ann", "won#der"}}
	b := listen(t, h, o)
	for n := range 2 {
		waitOutput(t, p, "+lobby\n")
		eventually(t, "the connection", func() bool { return b.Publishers()[0].Connects == n+1 })
		h.change(func() { h.pubs = nil })
		h.wait(t, "its messages", func() bool { return len(h.pubs) > 2 && h.pubs[2].Room == "lobby" })
		if n == 0 {
			p.Kill()
			p = startPublisher(t, at, "lobby")
		}
	}
	for name, users := range map[string]map[string]PlainUser{"another password": {at: {"ann", "x"}}, "no user": nil} {
		o := quick(Options{Connect: []string{at}, SubTopics: []string{"never"}})
		o.Security.ServerUsers = users
		b := listen(t, newFakeHub(), o)
		eventually(t, name+": the refusal", func() bool { return b.Publishers()[0].Err != nil })
		if b.Publishers()[0].Connects > 0 {
			t.Errorf("%s: connected", name)
		}
	}
	if got := subscriptions(p); !slices.Equal(got, []string{"+lobby"}) {
		t.Errorf("told %q", got)
	}
}

func TestReadPlainUser(t *testing.T) {
	for text, want := range map[string]PlainUser{
		"ann\n    password = \"won#der\"\n":                    {"ann", "won#der"},
		"ann\n    user = \"b\"\n":                              {},
		"ann\n    password = \"a\"\nb\n    password = \"b\"\n": {},
		"": {},
	} {
		file := filepath.Join(t.TempDir(), "user")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := ReadPlainUser(file)
		if (err == nil) != (want != PlainUser{}) || err == nil && u != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s", PlainUser{"a", "secret"}, PlainUser{"a", "secret"}, PlainUser{"a", "secret"}, PlainUser{"a", "secret"}); strings.Contains(text, "secret") {
		t.Errorf("a password prints itself: %s", text)
	}
}

// TestIPv6 binds and connects over IPv6, with libzmq as well.
func TestIPv6(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		_ = ln.Close()
	}
	h := newFakeHub()
	b := listen(t, h, Options{Pull: "tcp://[::1]:*", Pub: "tcp://[::1]:0", Security: Security{AllowFrom: []string{"::1"}}})
	if !strings.HasPrefix(b.Addr("pull"), "tcp://[::1]:") {
		t.Error(b.Addr("pull"))
	}
	send(t, push(t, b.Addr("pull")), "lobby", "six")
	h.waitPub(t, "lobby", "six")
	p := python(t, "secure.py", "push", b.Addr("pull"), "null")
	h.waitPub(t, "secret", "hello")
	sub := python(t, "secure.py", "sub", b.Addr("pub"), "null")
	eventually(t, "the subscription", func() bool { return b.egress.topics.size() == 1 })
	h.emit(t, "room", "e", "over six")
	awaitText(t, sub, "room|e|over six")
	_ = sub.Stop()
	stop(t, p)
}
