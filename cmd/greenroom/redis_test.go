//go:build unix

package main

import (
	"strings"
	"testing"

	"greenroom/internal/testenv"
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
