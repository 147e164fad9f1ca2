package main

import (
	"strings"
	"testing"
)

// TestLoadtest: the server measures itself, by its own session handler.
func TestLoadtest(t *testing.T) {
	r := serve(t)
	code, out, said := command(t, "loadtest", "--protocol", "relay", "--clients", "5", "--rate", "20", "--warm-up", "0s", "--duration", "1s", "--progress", "on", r.url)
	if code != 0 || !strings.Contains(out, "fanout: 5 clients in 1 room(s)") || !strings.Contains(said, "deliveries/s") {
		t.Errorf("exit %d, printed %s\nsaid %s", code, out, said)
	}
	code, _, said = command(t, "loadtest", "--protocol", "centrifuge", r.url)
	if code != 1 || !strings.HasPrefix(said, "greenroom: ") || !strings.Contains(said, "404 Not Found") {
		t.Errorf("a server of another kind: exit %d, said %s", code, said)
	}
}
