//go:build unix

package redis

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

func TestDiagnose(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	r.Do("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "-publish", "~*", "&*")
	r.Do("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-xadd", "-set", "-multi", "-evalsha", "~socket.io*", "resetchannels", "&other*")
	r.Do("ACL", "SETUSER", "eve", "on", ">pw", "+@all", "-psubscribe", "~other", "allchannels")
	r.Do("ACL", "SETUSER", "dan", "on", ">pw", "+@all", "~*", "resetchannels", "&socket.io*")
	r.Do("ACL", "SETUSER", "fay", "on", ">pw", "+@all", "-info", "~socket.io*", "&*")
	locked := testenv.StartRedis(t, "--requirepass", "secret")
	replica := testenv.StartRedis(t, "--replicaof", "127.0.0.1", "1")
	node := testenv.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strings.Split(testenv.FreeAddr(t), ":")[1])
	old := oldRedis(t, "6.2.14", "spublish", "shardnumsub", "ssubscribe")
	older := oldRedis(t, "6.0.9", "getdel")
	frozen := testenv.StartRedis(t)
	frozen.Freeze()
	for _, c := range []struct {
		name string
		o    Options
		says []string // the bad findings, in order
	}{
		{"classic", Options{URL: r.URL()}, nil},
		{"sharded", Options{URL: r.URL(), Adapter: Sharded}, nil},
		{"streams", Options{URL: r.URL(), Adapter: Streams}, nil},
		{"no URL", Options{URL: "http://h"}, []string{"not a scheme"}},
		{"nobody", Options{URL: "redis://" + testenv.FreeAddr(t)}, []string{"Nobody listens"}},
		{"no answer", Options{URL: frozen.URL(), Timeout: 300 * time.Millisecond}, []string{"no answer within"}},
		{"no password", Options{URL: locked.URL()}, []string{"wants a password"}},
		{"a wrong password", Options{URL: locked.URL(), Password: "x"}, []string{"refuses the user or the password"}},
		{"no Sentinel", Options{URL: "redis+sentinel://" + r.Addr + "/main"}, []string{"no Sentinel"}},
		{"no Cluster", Options{URL: "redis+cluster://" + r.Addr, Timeout: time.Second}, []string{"no Redis Cluster", "does not say who"}},
		{"a Cluster's node", Options{URL: node.URL()}, []string{"redis+cluster://"}},
		{"a replica", Options{URL: replica.URL()}, []string{"is a replica"}},
		{
			"a user who may not publish", Options{URL: r.URL(), User: "ann", Password: "pw", Timeout: time.Second},
			[]string{"may not use PUBLISH: the rule +publish is missing", "not heard", "ACL SETUSER ann +publish"},
		},
		{
			"a user of other channels", Options{URL: r.URL(), User: "bob", Password: "pw", Adapter: Streams, Timeout: time.Second},
			[]string{
				"channels socket.io-greenroom#* (PUBLISH)", "+xadd", "may not use SET: the rule +set", "keys sio:session:* (GETDEL)", "channels socket.io#* (PUBLISH)",
				"+evalsha", "+multi", "ACL SETUSER bob '&socket.io#*' '&socket.io-greenroom#*' '~sio:session:*' +evalsha +multi +set +xadd",
			},
		},
		{
			"a user of other keys", Options{URL: "redis://eve:pw@" + r.Addr, Timeout: time.Second},
			[]string{"keys socket.io:greenroom:* (PERSIST)", "may not use PSUBSCRIBE: the rule +psubscribe", "ACL SETUSER eve '~socket.io:greenroom:*' +psubscribe"},
		},
		{
			"patterns are word for word", Options{URL: r.URL(), User: "dan", Password: "pw", Timeout: time.Second},
			[]string{"channels socket.io#/#* (PSUBSCRIBE): the rule '&socket.io#/#*' is missing", "ACL SETUSER dan '&socket.io#/#*'"},
		},
		{
			"names of one's own, and no INFO", Options{URL: r.URL(), User: "fay", Password: "pw", Adapter: Streams, StreamName: "emits", SessionPrefix: "kept:", Timeout: time.Second},
			[]string{"the rule +info", "keys emits (", "keys kept:* (", "ACL SETUSER fay '~emits' '~kept:*' +info"},
		},
		{"sharded needs version 7", Options{URL: old, Adapter: Sharded, Timeout: time.Second}, []string{"6.2.14: the sharded adapter needs 7.0", "does not know SPUBLISH", "does not know PUBSUB SHARDNUMSUB", "does not let us subscribe"}},
		{"streams need version 6.2", Options{URL: older, Adapter: Streams, Timeout: time.Second}, []string{"6.0.9: the streams adapter needs 6.2", "does not know GETDEL", "not heard"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := Diagnose(t.Context(), c.o)
			var bad []string
			for _, f := range report.Findings {
				if f.Bad {
					bad = append(bad, f.Text)
				}
				if strings.Contains(f.Text, "\n") {
					t.Errorf("more than a line: %q", f.Text)
				}
			}
			if !slices.EqualFunc(bad, c.says, strings.Contains) {
				t.Errorf("%q, want %q", bad, c.says)
			}
			if report.Well() != (len(bad) == 0) {
				t.Error("Well says otherwise")
			}
		})
	}
}

// oldRedis is a server that says it has a version, and does not know some commands; to all others it says that all is well.
func oldRedis(t *testing.T, version string, unknown ...string) (url string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = lis.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				in := bufio.NewReader(conn)
				for {
					words, err := readCommand(in)
					if err != nil {
						return
					}
					name := strings.ToLower(words[0])
					answer := "+OK\r\n"
					switch {
					case slices.Contains(unknown, name) || name == "pubsub" && slices.Contains(unknown, strings.ToLower(words[1])):
						answer = "-ERR unknown command '" + name + "'\r\n"
					case name == "hello":
						answer = "-ERR unknown command 'HELLO'\r\n"
					case name == "ping":
						answer = "+PONG\r\n"
					case name == "exec":
						answer = "*1\r\n+PONG\r\n"
					case name == "subscribe":
						answer = fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(words[1]), words[1])
					case name == "info":
						text := "redis_version:" + version + "\r\nredis_mode:standalone\r\nrole:master\r\n"
						answer = fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
					}
					if _, err := io.WriteString(conn, answer); err != nil {
						return
					}
				}
			})
		}
	})
	return "redis://" + lis.Addr().String()
}

// readCommand reads what a client sends.
func readCommand(in *bufio.Reader) (words []string, err error) {
	number := func(mark byte) (n int, err error) {
		line, err := in.ReadString('\n')
		if err != nil || line[0] != mark {
			return 0, errors.Join(err, errMalformed)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number('*')
	for range n {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:size]))
	}
	if err == nil && len(words) == 0 {
		err = errMalformed
	}
	return words, err
}
