package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

// secure is a server with a certificate, and a client in Go that trusts its authority and speaks HTTP/2.
type secure struct {
	*process
	authority *testenv.Authority
	dir       string // with the certificate's files
	addr      string
	client    *http.Client
}

func startTLS(t *testing.T, args ...string) *secure {
	t.Helper()
	s := &secure{authority: testenv.NewAuthority(t), dir: t.TempDir()}
	cert, key := s.authority.Issue(s.dir, "first.example")
	s.process = start(t, testenv.Build(t, "greenroom/cmd/greenroom"), append(args, "--tls-cert", cert, "--tls-key", key)...)
	s.addr = strings.TrimPrefix(s.url, "https://")
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool}, ForceAttemptHTTP2: true}
	s.client = &http.Client{Transport: tr, Timeout: 30 * time.Second}
	t.Cleanup(tr.CloseIdleConnections)
	return s
}

// do makes one request, and wants it answered over HTTP/2.
func (s *secure) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	} else {
		r.Body = nil
	}
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 {
		t.Errorf("%s %s: %s, %v", method, path, res.Proto, err)
	}
	return res.StatusCode, string(b)
}

const polling = "/socket.io/?EIO=4&transport=polling"

// TestHTTP2: the pages, and a whole polling session, on one connection; then the process ends in good order.
func TestHTTP2(t *testing.T) {
	s := startTLS(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "greenroom_sessions 0", "/": "Greenroom"} {
		if code, body := s.do(t, "GET", path, ""); code != 200 && path != "/" || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	_, open := s.do(t, "GET", polling, "")
	var hello struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &hello); err != nil || hello.SID == "" {
		t.Fatalf("handshake: %q", open)
	}
	session := polling + "&sid=" + hello.SID
	post := func(body string) {
		t.Helper()
		if code, answer := s.do(t, "POST", session, body); code != 200 || answer != "ok" {
			t.Fatalf("POST %q: %d %q", body, code, answer)
		}
	}
	post("40")
	if code, body := s.do(t, "GET", session, ""); code != 200 || !strings.HasPrefix(body, `40{"sid":`) {
		t.Fatalf("connect: %d %q", code, body)
	}
	polled := make(chan string, 1)
	go func() { // waits, while requests go past it on the same connection
		_, body := s.do(t, "GET", session, "")
		polled <- body
	}()
	post(`420["join","lobby"]`)
	if body := <-polled; body != `430[{"ok":true}]` {
		t.Errorf("joined: %q", body)
	}
	if code, body := s.do(t, "POST", session, strings.Repeat("x", 2<<20)); code != 413 {
		t.Errorf("too large: %d %.100q", code, body)
	}
	// A WebSocket cannot be had here: Greenroom does not offer it, and no client asks.
	if code, body := s.do(t, "GET", "/socket.io/?EIO=4&transport=websocket", ""); code != 400 {
		t.Errorf("websocket: %d %q", code, body)
	}
	post(`421["publish","lobby","message","hi",{"echo":true}]`)
	for heard := ""; !strings.Contains(heard, `"message","hi"`); { // the ack and the message may come apart
		code, body := s.do(t, "GET", session, "")
		if code != 200 {
			t.Fatalf("GET: %d %q", code, body)
		}
		heard += body
	}
	post("1")
	since := time.Now()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended(t, since)
}

// TestShellOverTLS: publish and listen reach a server by its https:// address.
func TestShellOverTLS(t *testing.T) {
	s := startTLS(t)
	bin, trust := testenv.Build(t, "greenroom/cmd/greenroom"), "SSL_CERT_FILE="+s.authority.File
	listening := testenv.Start(t, testenv.Command{Path: bin, Args: []string{"listen", "--from", s.url, "lobby"}, Env: []string{trust}})
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(listening.Output(), `lobby  price  {"eur":4.2}`); {
		p := testenv.Start(t, testenv.Command{Path: bin, Args: []string{"publish", "--to", s.url, "lobby", "price", `{"eur":4.2}`}, Env: []string{trust}})
		<-p.Done()
		if err := p.Stop(); err != nil {
			t.Fatalf("publish: %v\n%s", err, p.Output())
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing heard: %s", listening.Output())
		}
	}
	// An authority that nobody trusts is refused.
	p := testenv.Start(t, testenv.Command{Path: bin, Args: []string{"publish", "--to", s.url, "lobby", "x"}})
	<-p.Done()
	if err := p.Stop(); err == nil || !strings.Contains(p.Output(), "certificate") {
		t.Errorf("without the authority: %v, %s", err, p.Output())
	}
}

// shown is the certificate that a newcomer is shown.
func (s *secure) shown(t *testing.T) string {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: &tls.Config{RootCAs: s.authority.Pool}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames[0]
}

// TestCertificateReload: SIGHUP brings a new certificate to newcomers, and disturbs nobody. Files that are no
// certificate, or do not belong together, change nothing and are logged.
func TestCertificateReload(t *testing.T) {
	s := startTLS(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	old := tls.Dialer{Config: &tls.Config{RootCAs: s.authority.Pool, NextProtos: []string{"http/1.1"}}}
	kept, err := old.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	hangup := func(says string) {
		t.Helper()
		from := len(s.Output())
		if err := s.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(s.Output()[from:], says) {
			select {
			case <-s.Done():
				t.Fatalf("it has ended:\n%s", s.Output())
			case <-ctx.Done():
				t.Fatalf("it does not say %q:\n%s", says, s.Output()[from:])
			case <-time.After(time.Millisecond):
			}
		}
	}
	if name := s.shown(t); name != "first.example" {
		t.Errorf("first it shows %s", name)
	}
	s.authority.Issue(s.dir, "second.example")
	hangup("certificate loaded")
	if name := s.shown(t); name != "second.example" {
		t.Errorf("then it shows %s", name)
	}
	cert, key := filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	good := func(file string) []byte {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	certPEM, keyPEM := good(cert), good(key)
	_, otherKey := s.authority.Issue(t.TempDir(), "third.example")
	for name, spoil := range map[string]func() error{
		"no certificate": func() error { return os.Remove(cert) },
		"no key":         func() error { return os.Remove(key) },
		"an empty file":  func() error { return os.WriteFile(cert, nil, 0o600) },
		"half a file":    func() error { return os.WriteFile(cert, certPEM[:len(certPEM)/2], 0o600) },
		"another's key":  func() error { return os.WriteFile(key, good(otherKey), 0o600) },
		"the files swapped": func() error {
			return errors.Join(os.WriteFile(cert, keyPEM, 0o600), os.WriteFile(key, certPEM, 0o600))
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		hangup("the old certificate stays")
		if got := s.shown(t); got != "second.example" {
			t.Errorf("%s: it shows %s", name, got)
		}
		if err := errors.Join(os.WriteFile(cert, certPEM, 0o600), os.WriteFile(key, keyPEM, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	// The connection that was there before all that works as before.
	_, _ = fmt.Fprintf(kept, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	_ = kept.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, err := io.ReadAll(kept); err != nil || !bytes.HasSuffix(answer, []byte("ok\n")) {
		t.Errorf("the old connection: %q, %v", answer, err)
	}
}

// TestCertificateErrors: one clear sentence, and no server.
func TestCertificateErrors(t *testing.T) {
	dir := t.TempDir()
	cert, key := testenv.NewAuthority(t).Issue(dir)
	nothing := filepath.Join(dir, "nothing.pem")
	for name, files := range map[string][2]string{
		"no such certificate": {nothing, key}, "no such key": {cert, nothing}, "the wrong way round": {key, cert},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		var out, errs bytes.Buffer
		code := run(ctx, []string{"--listen", "127.0.0.1:0", "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off",
			"--tls-cert", files[0], "--tls-key", files[1]}, nil, &out, &errs)
		cancel()
		if said := errs.String(); code != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "greenroom: --tls-cert "+files[0]+", --tls-key "+files[1]+": ") {
			t.Errorf("%s: exit %d, said %q", name, code, said)
		}
	}
}

// TestTLSVersions: nothing below TLS 1.2, and no plain HTTP.
func TestTLSVersions(t *testing.T) {
	s := startTLS(t)
	for _, c := range []struct {
		version uint16
		ok      bool
	}{{tls.VersionTLS10, false}, {tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true}} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: s.authority.Pool, MinVersion: c.version, MaxVersion: c.version}}
		conn, err := d.Dial("tcp", s.addr)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", tls.VersionName(c.version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	if code, body := get(t, "http://"+s.addr+"/"); code != 400 || !strings.Contains(body, "HTTPS") {
		t.Errorf("plain HTTP: %d %q", code, body)
	}
}
