//go:build unix

package redis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

func TestDiagnose(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	r.Do("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "-publish", "~*", "&*")
	r.Do("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-xadd", "-set", "~*", "&other*")
	locked := testenv.StartRedis(t, "--requirepass", "secret")
	replica := testenv.StartRedis(t, "--replicaof", "127.0.0.1", "1")
	node := testenv.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strings.Split(testenv.FreeAddr(t), ":")[1])
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
		{"a user who may not publish", Options{URL: r.URL(), User: "ann", Password: "pw", Timeout: time.Second}, []string{"PUBLISH", "not heard"}},
		{"a user of other channels", Options{URL: r.URL(), User: "bob", Password: "pw", Adapter: Streams, Timeout: time.Second}, []string{"PUBLISH", "XADD", "SET", "NOPERM"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := Diagnose(t.Context(), c.o)
			var bad []string
			for _, f := range report.Findings {
				if f.Bad {
					bad = append(bad, f.Text)
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
