//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq"
)

func TestRedisDoctor(t *testing.T) {
	r := testenv.StartRedis(t)
	if code, out, said := command(t, "redis", "doctor", r.URL()); code != 0 || !strings.Contains(out, "What is published is heard.") {
		t.Errorf("%d\n%s%s", code, out, said)
	}
	t.Setenv("GREENROOM_REDIS", r.URL())
	t.Setenv("GREENROOM_REDIS_ADAPTER", "sharded")
	if code, out, said := command(t, "redis", "doctor"); code != 0 || !strings.Contains(out, "What is published is heard.") {
		t.Errorf("with the server's environment: %d\n%s%s", code, out, said)
	}
	if code, out, said := command(t, "redis", "doctor", "redis://"+testenv.FreeAddr(t)); code != 1 || !strings.Contains(out, "BAD   Nobody listens") || !strings.Contains(said, "not well") {
		t.Errorf("%d\n%s%s", code, out, said)
	}
	t.Setenv("GREENROOM_REDIS", "")
	if code, _, said := command(t, "redis", "doctor"); code != 2 || !strings.Contains(said, "which Redis") {
		t.Errorf("without a URL: %d %s", code, said)
	}
}

// A certificate that was renewed is shown to Redis by the next connection; one that cannot be read is told at the start.
func TestRedisCertificateIsRenewed(t *testing.T) {
	ca := testenv.NewAuthority(t)
	dir := t.TempDir()
	cert, key := ca.Issue(dir)
	c := redisFlags{TLSCA: ca.File, TLSCert: cert, TLSKey: key}
	o, err := c.tls()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() *tls.Certificate {
		t.Helper()
		got, err := o.GetClientCertificate(new(tls.CertificateRequestInfo))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := shown()
	ca.Issue(dir)
	if second := shown(); bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Error("the old one is shown")
	}
	if old, err := c.authorities(); err != nil || !old.Equal(ca.Pool) {
		t.Errorf("believed are others, %v", err)
	}
	other := testenv.NewAuthority(t)
	text, err := os.ReadFile(other.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca.File, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if now, err := c.authorities(); err != nil || !now.Equal(other.Pool) {
		t.Errorf("the old one is believed, %v", err)
	}
	if err := os.WriteFile(ca.File, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.options(); err == nil || !strings.Contains(err.Error(), "--redis-tls-ca") {
		t.Errorf("%v", err)
	}
	c.TLSCert = ca.File // not the key's
	if _, err := c.tls(); err == nil || !strings.Contains(err.Error(), "--redis-tls-cert") {
		t.Errorf("%v", err)
	}
}

// Two nodes are one: what is published at one is heard at the other. Without Redis a node lives, is not ready, and says
// why; when Redis is back, empty, both are ready again and are one.
func TestTwoNodes(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	r := testenv.StartRedis(t)
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	a := start(t, bin, "--redis", r.URL(), "--node", "a")
	b := start(t, bin, "--redis", r.URL(), "--node", "b")
	ready := func(p *process, want int) string {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			code, body := get(t, p.url+"/readyz")
			if code == want {
				return body
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz: %d %q\n%s", code, body, p.Output())
			}
		}
	}
	heard := func() {
		t.Helper()
		ready(a, 200)
		ready(b, 200)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		sub, err := zeromq.Subscribe(ctx, b.pub, "lobby")
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		push, err := zeromq.Push(ctx, a.pull)
		if err != nil {
			t.Fatal(err)
		}
		defer push.Close()
		got := make(chan error, 1) // one message is enough
		go func() {
			_, err := sub.Receive(ctx)
			got <- err
		}()
		awaitSubscription(t, push, got)
	}
	heard()
	if _, body := get(t, a.url+"/metrics"); !strings.Contains(body, "greenroom_redis_ready 1") || strings.Contains(body, "greenroom_redis_published_total 0") {
		t.Errorf("metrics: %s", body)
	}
	r.Kill()
	if why := ready(a, 503); !strings.Contains(why, "EOF") && !strings.Contains(why, "refused") && !strings.Contains(why, "reset") {
		t.Errorf("/readyz: %q", why)
	}
	ready(b, 503)
	if code, body := get(t, a.url+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if _, body := get(t, a.url+"/metrics"); !strings.Contains(body, "greenroom_redis_ready 0") || !strings.Contains(body, `reason="redis_gap"`) {
		t.Errorf("metrics: %s", body)
	}
	r.Restart()
	heard()
	for _, p := range []*process{a, b} {
		since := time.Now()
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.ended(t, since)
		if n := strings.Count(p.Output(), "redis: "); n != 2 {
			t.Errorf("%d lines about Redis:\n%s", n, p.Output())
		}
	}
}

// The nodes that docs/scaling.md starts by hand on one machine do not want each other's addresses.
func TestDocumentedNodes(t *testing.T) {
	text, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```\nredis-server ")
	block, _, _ = strings.Cut(block, "```")
	var nodes []string
	owner := make(map[string]string)
	for _, line := range strings.Split(strings.ReplaceAll(block, "\\\n", " "), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "greenroom" {
			continue
		}
		c := parse(t, append([]string{"serve"}, words[1:]...)...).Serve
		nodes = append(nodes, c.Redis.Node)
		if !c.Redis.on() {
			t.Errorf("%s is in no cluster", line)
		}
		for _, at := range []string{c.Listen, c.ZmqPull, c.ZmqPub, c.ZmqSub, c.Requests.ZmqControl, c.Requests.ZmqWorkers} {
			if other, taken := owner[at]; taken && at != off {
				t.Errorf("%s listens on %s, which %s has", c.Redis.Node, at, other)
			}
			owner[at] = c.Redis.Node
		}
	}
	if !slices.Equal(nodes, []string{"n1", "n2"}) {
		t.Errorf("nodes are %q", nodes)
	}
}

// Whichever node a program asks speaks for both, and its subscribers get what the other has retained. Nothing comes twice:
// neither what is pushed at one node, nor what each node gets by itself and keeps to itself.
func TestControlOfTwoNodes(t *testing.T) {
	t.Parallel()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	bin, python := testenv.Build(t, "greenroom/cmd/greenroom"), testenv.Python(t, "zmq")
	for _, adapter := range []string{"sharded", "streams"} {
		t.Run(adapter, func(t *testing.T) {
			t.Parallel()
			controlOfTwoNodes(t, bin, python, adapter)
		})
	}
}

func controlOfTwoNodes(t *testing.T, bin, python, adapter string) {
	r := testenv.StartRedis(t)
	var nodes []*process
	var controls []string
	for _, name := range []string{"a", "b"} {
		control := "tcp://" + testenv.FreeAddr(t)
		p := start(t, bin, "--redis", r.URL(), "--redis-adapter", adapter, "--node", name, "--zmq-control", control, "--zmq-sub-fanout", "local")
		nodes, controls = append(nodes, p), append(controls, control)
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if code, body := get(t, p.url+"/readyz"); code == 200 {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(body)
			}
		}
		newListener(t, p.url)
	}
	asks := testenv.Start(t, testenv.Command{Path: python, Args: []string{
		"testdata/cluster.py", controls[1], nodes[1].pub, nodes[1].pull, nodes[1].sub, controls[0], nodes[0].pub, nodes[0].pull, nodes[0].sub,
	}})
	select {
	case <-asks.Done():
	case <-time.After(patience):
		t.Fatalf("still running:\n%s", asks.Output())
	}
	const want = `{"rooms": [{"room": "lobby", "members": 2}], "nodes": [["a", "b"], ["a", "b"]], "on": ["a", "b"], ` +
		`"moved": [{"sessions": 1}, true, {"sessions": 1}, false, {"sessions": 1}, true, {"sessions": 1}, false], "kicked": [{"sessions": 1}, {"sessions": 1}], "left": [], "snapshot": ["p.a", "p.b"]}` + "\np.a p.b\np.a p.b\n" +
		"published pushed\npublished pushed\nand [[], []]\n"
	if got := asks.Output(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
