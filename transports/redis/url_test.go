//go:build unix

package redis

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

func TestParseURL(t *testing.T) {
	for url, want := range map[string]location{
		"redis://h":                                  {kind: atServer, addrs: []string{"h:6379"}},
		"REDIS://h:1/3":                              {kind: atServer, addrs: []string{"h:1"}, db: 3},
		"redis://:p%40:x@h?db=2":                     {kind: atServer, addrs: []string{"h:6379"}, db: 2, password: "p@:x"},
		"rediss://u:p@[::1]:7":                       {kind: atServer, tls: true, addrs: []string{"[::1]:7"}, user: "u", password: "p"},
		"redis://[::1]":                              {kind: atServer, addrs: []string{"[::1]:6379"}},
		"redis://u:p/w@h":                            {kind: atServer, addrs: []string{"h:6379"}, user: "u", password: "p/w"},
		"redis://u:p?w#@h?db=1":                      {kind: atServer, addrs: []string{"h:6379"}, db: 1, user: "u", password: "p?w#"},
		"unix:///run/redis.sock?db=1":                {kind: atSocket, addrs: []string{"/run/redis.sock"}, db: 1},
		"unix://u:p@/run/redis.sock":                 {kind: atSocket, addrs: []string{"/run/redis.sock"}, user: "u", password: "p"},
		"redis+sentinel://a,b:2/main/4":              {kind: atSentinels, addrs: []string{"a:26379", "b:2"}, master: "main", db: 4},
		"rediss+cluster://u:p@a:1,[::1]:2,10.0.0.1/": {kind: atCluster, tls: true, addrs: []string{"a:1", "[::1]:2", "10.0.0.1:6379"}, user: "u", password: "p"},
	} {
		got, err := parseURL(url)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
}

// Each mistake is told in words that say what to write instead, and never with the password.
func TestWrongOptions(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{URL: "h:6379"}, "begins with redis://"},
		{Options{URL: "http://h"}, "not a scheme"},
		{Options{URL: "redis://"}, "names no host"},
		{Options{URL: "redis://:6379"}, "names no host"},
		{Options{URL: "redis://h:x"}, "not a port"},
		{Options{URL: "redis://h:70000"}, "not a port"},
		{Options{URL: "redis://::1"}, "not a host"},
		{Options{URL: "redis://a,b"}, "redis+cluster://"},
		{Options{URL: "redis://h/x"}, "not a database"},
		{Options{URL: "redis://h/1?db=2"}, "twice"},
		{Options{URL: "redis://h?timeout=2"}, "only db is"},
		{Options{URL: "redis://secret@h"}, "no password"},
		{Options{URL: "redis://u:secret%@h"}, "%25"},
		{Options{URL: "redis://:secret"}, "end with @"},
		{Options{URL: "redis://user:secret"}, "end with @"},
		{Options{URL: "redis://user:secret:6379"}, "end with @"},
		{Options{URL: "redis://user:1/secret"}, "not a database"},
		{Options{URL: "redis://user:1?secret"}, "only db is"},
		{Options{URL: "redis+cluster://h/1"}, "no database but 0"},
		{Options{URL: "redis+sentinel://h"}, "which master"},
		{Options{URL: "unix://run/redis.sock"}, "absolute path"},
		{Options{URL: "redis://:secret@h", Password: "secret"}, "give one of them"},
		{Options{Password: "secret", PasswordFile: "f"}, "give one of them"},
		{Options{PasswordFile: "/does/not/exist"}, "no such file"},
		{Options{PasswordFile: empty}, "is empty"},
		{Options{User: "u"}, "no password"},
		{Options{URL: "redis://h", TLS: new(tls.Config)}, "rediss://"},
		{Options{Client: goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})}, "NewClusterClient"},
	} {
		err := c.o.Check()
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c.o.URL, err)
		}
		if ring, ok := c.o.Client.(*goredis.Ring); ok {
			_ = ring.Close()
		}
	}
}

// The values are those of CLUSTER KEYSLOT.
func TestSlotOf(t *testing.T) {
	for key, want := range map[string]int{
		"": 0, "123456789": 12739, "foo": 12182, "{user1000}.following": 3443, "{user1000}.followers": 3443,
		"foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061,
	} {
		if got := slotOf(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}

func TestWhereHasNoPassword(t *testing.T) {
	for url, want := range map[string]string{
		"redis://ann:se@cr:et@h:1/2":          "redis://h:1/2",
		"redis://h:1?db=2":                    "redis://h:1",
		"unix:///run/a@b.sock?db=1":           "unix:///run/a@b.sock",
		"redis+sentinel://:secret@a:1,b:2/db": "redis+sentinel://a:1,b:2/db",
		"ann:secret@h":                        "Redis",
	} {
		if got := Where(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
