//go:build unix

package redis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/internal/testenv"
)

// exchange publishes until what was published is heard: after a change, some messages may be lost.
func exchange(t *testing.T, l *link, w *witness, sharded bool, channel string) {
	t.Helper()
	n := 0
	within(t, "a message on "+channel, func() bool {
		n++
		body := fmt.Sprint(t.Name(), time.Now().UnixNano())
		l.publish(sharded, channel, []byte(body))
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if slices.Contains(w.heard(), channel+" "+body) {
				return true
			}
		}
		return false
	})
}

func TestWaysToConnect(t *testing.T) {
	t.Parallel()
	ca := testenv.NewAuthority(t)
	cert, key := ca.Issue(t.TempDir())
	port := testenv.FreeAddr(t)
	_, tlsPort, _ := strings.Cut(port, ":")
	r := testenv.StartRedis(t, "--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.File)
	r.Do("ACL", "SETUSER", "ann", "on", ">p@ss", "+@all", "~*", "&*")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("p@ss\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}}
	client := goredis.NewClient(&goredis.Options{Addr: r.Addr, Username: "ann", Password: "p@ss"})
	t.Cleanup(func() { _ = client.Close() })
	for name, o := range map[string]Options{
		"host":            {URL: r.URL()},
		"socket":          {URL: "unix://" + r.Socket},
		"user in the URL": {URL: "redis://ann:p%40ss@" + r.Addr},
		"user beside it":  {URL: r.URL(), User: "ann", Password: "p@ss"},
		"password file":   {URL: r.URL(), User: "ann", PasswordFile: file},
		"TLS":             {URL: "rediss://127.0.0.1:" + tlsPort, TLS: secure},
		"authorities":     {URL: "rediss://127.0.0.1:" + tlsPort, TLS: &tls.Config{Certificates: secure.Certificates}, Authorities: func() (*x509.CertPool, error) { return ca.Pool, nil }},
		"a client":        {Client: client},
	} {
		t.Run(name, func(t *testing.T) {
			l, w := newTestLink(t, o, linkOptions{})
			l.subscribe(subChannel, "c")
			within(t, "ready", func() bool { return l.ready() == nil })
			exchange(t, l, w, false, "c")
		})
	}
	for name, c := range map[string]struct {
		o    Options
		says string
	}{
		"a wrong password":     {Options{URL: r.URL(), User: "ann", Password: "x"}, "WRONGPASS"},
		"an unknown authority": {Options{URL: "rediss://127.0.0.1:" + tlsPort}, "certificate"},
		"no certificate":       {Options{URL: "rediss://127.0.0.1:" + tlsPort, TLS: &tls.Config{RootCAs: ca.Pool}}, ""},
		"other authorities":    {Options{URL: "rediss://127.0.0.1:" + tlsPort, TLS: secure, Authorities: func() (*x509.CertPool, error) { return x509.NewCertPool(), nil }}, "certificate"},
		"none to be had":       {Options{URL: "rediss://127.0.0.1:" + tlsPort, TLS: secure, Authorities: func() (*x509.CertPool, error) { return nil, os.ErrNotExist }}, "not exist"},
		"TLS to a plain port":  {Options{URL: "rediss://" + r.Addr, TLS: secure}, ""},
		"plain to a TLS port":  {Options{URL: "redis://127.0.0.1:" + tlsPort}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newTestLink(t, c.o, linkOptions{timeout: time.Second})
			l.subscribe(subChannel, "c")
			within(t, "told", func() bool {
				err := l.ready()
				return err != nil && err != errConnecting && strings.Contains(err.Error(), c.says)
			})
		})
	}
}

// Sharded channels are heard from whoever owns their slots, also when these move, and when an owner dies and its replica
// takes over; others by way of any node.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t, 3, true)
	// Its last seed is one that does not die.
	l, w := newTestLink(t, Options{URL: c.URL()}, linkOptions{timeout: time.Second, pingEvery: 300 * time.Millisecond})
	l.subscribe(subChannel, "plain")
	l.subscribe(subPattern, "pat*")
	channels := []string{"s0", "s1", "s2", "s3", "s4", "s5"}
	l.subscribe(subShard, channels...)
	within(t, "ready", func() bool { return l.ready() == nil })
	exchange(t, l, w, false, "plain")
	exchange(t, l, w, false, "pattern")
	for _, ch := range channels {
		exchange(t, l, w, true, ch)
		if n, err := l.subscribers(t.Context(), true, ch); n != 1 || err != nil {
			t.Errorf("%d subscribers of %s, %v", n, ch, err)
		}
	}
	if n, err := l.subscribers(t.Context(), false, "plain"); n != 1 || err != nil {
		t.Errorf("%d subscribers of a plain channel, %v", n, err)
	}

	// Messages of one channel stay in order, whatever node they go through.
	for i := range 2000 {
		l.publish(false, "plain", fmt.Appendf(nil, "n%04d", i))
		l.publish(true, "s0", fmt.Appendf(nil, "n%04d", i))
	}
	within(t, "all", func() bool { return countPrefix(w, "plain n") == 2000 && countPrefix(w, "s0 n") == 2000 })
	for _, prefix := range []string{"plain n", "s0 n"} {
		var got []string
		for _, m := range w.heard() {
			if strings.HasPrefix(m, prefix) {
				got = append(got, m)
			}
		}
		if !slices.IsSorted(got) {
			t.Errorf("%s: another order", prefix)
		}
	}

	// A slot moves.
	slot := slotOf("s0")
	owner := c.Owner(c.Masters[0], slot)
	from := slices.IndexFunc(c.Masters, func(r *testenv.Redis) bool { return r.Addr == owner })
	to := (from + 1) % 3
	c.MoveSlot(slot, c.Masters[from], c.Masters[to])
	exchange(t, l, w, true, "s0")
	within(t, "ready", func() bool { return l.ready() == nil })
	if n := c.Masters[to].Do("PUBSUB", "SHARDNUMSUB", "s0"); !strings.HasSuffix(n, "1") {
		t.Errorf("the new owner has %q subscribers", n)
	}
	for _, ch := range channels {
		exchange(t, l, w, true, ch)
	}

	// An owner dies, of a stream as well.
	prefix := "stream"
	for c.Owner(c.Masters[to], slotOf(prefix)) != c.Masters[to].Addr {
		prefix += "s"
	}
	p := newStreamsPair(t, Options{URL: c.URL(), Prefix: prefix, Timeout: time.Second})
	p.say(20)
	p.hears("a")
	p.hears("b")
	end := slowly(func(int) { p.say(1) })
	c.Masters[to].Kill()
	within(t, "noticed", func() bool { return l.ready() != nil })
	within(t, "ready with the replica", func() bool { return l.ready() == nil })
	for _, ch := range channels {
		exchange(t, l, w, true, ch)
	}
	exchange(t, l, w, false, "plain")
	for _, n := range p.nodes {
		n.waitReady(t)
	}
	end()
	p.agreed()
	if n := p.ordered("a") + p.ordered("b"); n > 0 && p.counted(reasonStreamGap) == 0 {
		t.Errorf("%d messages are missing, and nobody has noticed", n)
	}
}

func countPrefix(w *witness, prefix string) int {
	n := 0
	for _, m := range w.heard() {
		if strings.HasPrefix(m, prefix) {
			n++
		}
	}
	return n
}

// When the master dies, or hangs, the link is with the new one as soon as the Sentinels name it.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testenv.Redis){
		"killed": (*testenv.Redis).Kill,
		"frozen": (*testenv.Redis).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.StartRedisSentinel(t)
			o := Options{URL: s.URL(), Timeout: time.Second}
			l, w := newTestLink(t, o, linkOptions{timeout: time.Second, pingEvery: 300 * time.Millisecond})
			l.subscribe(subChannel, "c")
			within(t, "ready", func() bool { return l.ready() == nil })
			exchange(t, l, w, false, "c")
			fail(s.Master)
			within(t, "noticed", func() bool { return l.ready() != nil })
			within(t, "a new master", func() bool {
				out, _ := s.Replica.Try("INFO", "replication") // it closes its clients' connections when it becomes one
				return strings.Contains(out, "role:master")
			})
			begin := time.Now()
			within(t, "ready", func() bool { return l.ready() == nil })
			t.Logf("ready %v after the replica has become the master", time.Since(begin).Round(time.Millisecond))
			exchange(t, l, w, false, "c")
			if w.counted(reasonGap) == 0 {
				t.Error("no gap was counted")
			}
		})
	}
}
