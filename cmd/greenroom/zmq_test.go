package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/transports/zeromq"
)

// TestKeysAndCurve: from `greenroom keys` to a message over CURVE that `greenroom publish` sends.
func TestKeysAndCurve(t *testing.T) {
	dir := t.TempDir()
	allow := filepath.Join(dir, "allowed")
	if err := os.Mkdir(allow, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"server"}, {"feeds", "--publish", "prices.*,lobby", "--user", "feeds of ours"}, {"stranger"}} {
		if code, out, said := command(t, append([]string{"keys", "--dir", dir}, args...)...); code != 0 || !strings.Contains(out, args[0]+".key_secret") {
			t.Fatal(code, out, said)
		}
	}
	if code, _, said := command(t, "keys", "--dir", dir, "server"); code != 1 || !strings.Contains(said, "exists") {
		t.Errorf("overwritten: %d, %s", code, said)
	}
	if code, _, said := command(t, "keys", "--dir", dir, "bad", "--publish", "a,,b"); code != 2 {
		t.Errorf("%d, %s", code, said)
	}
	if err := os.Rename(filepath.Join(dir, "feeds.key"), filepath.Join(allow, "feeds.key")); err != nil {
		t.Fatal(err)
	}
	server, err := zeromq.ReadCertificate(filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, "--zmq-curve-key", filepath.Join(dir, "server.key_secret"), "--zmq-allow", allow)
	key := func(name string) []string {
		return []string{"--server-key", server.Public.String(), "--key", filepath.Join(dir, name+".key_secret")}
	}
	if code, _, said := command(t, append([]string{"publish", "lobby", "hello", "--to", r.pull}, key("feeds")...)...); code != 0 {
		t.Errorf("%d, %s", code, said)
	}
	if code, _, said := command(t, append([]string{"publish", "lobby", "hello", "--to", r.pull}, key("stranger")...)...); code != 1 || !strings.Contains(said, "400") {
		t.Errorf("%d, %s", code, said)
	}
	if code, _, _ := command(t, "publish", "lobby", "hello", "--to", r.pull); code != 1 {
		t.Error("published in NULL")
	}
	if code, out, _ := command(t, append([]string{"zmq", "doctor", r.pull}, key("feeds")...)...); code != 0 || !strings.Contains(out, "It answers heartbeats.") {
		t.Errorf("%d, %s", code, out)
	}
	if code, out, said := command(t, "zmq", "doctor", r.pull); code != 1 || !strings.Contains(out, "BAD   It speaks the security mechanism CURVE") || !strings.Contains(said, "is not well") {
		t.Errorf("%d, %s, %s", code, out, said)
	}
	if _, body := get(t, r.url+"/metrics"); !strings.Contains(body, `greenroom_events_total{reason="zeromq_denied"} 1`) {
		t.Error(body)
	}
}

// TestServerUser: a server subscribes to another one that asks for PLAIN.
func TestServerUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("ann\n    password = \"wonder\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	feed := serve(t, "--zmq-plain", file)
	r := serve(t, "--zmq-connect", feed.pub, "--zmq-server-user", feed.pub+"="+file)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, body := get(t, r.url+"/metrics")
		if strings.Contains(body, `greenroom_zeromq_publisher_up{publisher="`+feed.pub+`"} 1`) {
			break
		}
		if time.Now().After(end) {
			t.Fatal(body)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if code, _, said := command(t, "--listen", "127.0.0.1:0", "--zmq-connect", feed.pub, "--zmq-server-user", feed.pub+"="+none); code != 1 || !strings.Contains(said, "--zmq-server-user: ") || !strings.Contains(said, "none") {
		t.Errorf("%d, %s", code, said)
	}
}

// TestZmqFlags: combinations that make no sense.
func TestZmqFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--zmq-curve-key", "x"}, "--zmq-allow DIR"},
		{[]string{"--zmq-allow", "x"}, "needs --zmq-curve-key"},
		{[]string{"--zmq-curve-key", "x", "--zmq-allow", "y", "--zmq-zap", "tcp://127.0.0.1:1"}, "one decides"},
		{[]string{"--zmq-curve-key", "x", "--zmq-plain", "y"}, "the endpoints speak one"},
		{[]string{"--zmq-connect", "tcp://a:1", "--zmq-server-key", "tcp://a:2=x"}, "there is no --zmq-connect tcp://a:2"},
		{[]string{"--zmq-server-user", "tcp://a:2=x"}, "there is no --zmq-connect tcp://a:2"},
		{[]string{"--zmq-handshake-rate", "0"}, "want 1 or more"},
		{[]string{"--zmq-pull", "tcp://0.0.0.0:0"}, "give --zmq-curve-key"},
		{[]string{"publish", "a", "b", "--key", "x"}, "--server-key"},
		{[]string{"publish", "a", "b", "--password", "x"}, "needs --user"},
		{[]string{"publish", "a", "b", "--to", "http://127.0.0.1:1", "--user", "x"}, "for ZeroMQ endpoints"},
		{[]string{"zmq", "doctor", "tcp://127.0.0.1:1", "--wait", "0s"}, "--wait"},
	} {
		if code, _, said := command(t, c.args...); code != 2 || !strings.Contains(said, c.says) {
			t.Errorf("%v: %d, %s", c.args, code, said)
		}
	}
}
