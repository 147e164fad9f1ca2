package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestForeignHosts: a page whose name its owner points at this machine has the server's own origin as far as
// the browser knows. Its requests are refused, and counted, on every path and with either transport.
func TestForeignHosts(t *testing.T) {
	r := serve(t, "--host", "Rooms.example.", "--host", "[fd00::1]")
	_, port, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), ":")
	refused := 0
	for _, c := range []struct {
		host string
		want int
	}{
		{"127.0.0.1:" + port, 200}, {"127.0.0.1", 200}, {"127.1.2.3:1", 200}, {"localhost:" + port, 200}, {"LOCALHOST", 200}, {"localhost.:80", 200},
		{"chat.localhost:3000", 200}, {"[::1]:3000", 200}, {"[::1]", 200}, {"rooms.example", 200}, {"ROOMS.example:8080", 200}, {"[fd00::1]:80", 200},
		{"evil.example:" + port, 403}, {"evil.example", 403}, {"localhost.evil.example", 403}, {"evillocalhost", 403}, {"rooms.example.evil.example", 403},
		{"x.rooms.example", 403}, {"10.0.0.1", 403}, {"0.0.0.0:" + port, 403}, {"[::]:" + port, 403}, {"127.0.0.1.evil.example", 403}, {"2130706433", 403},
	} {
		for _, path := range []string{"/healthz", "/", "/socket.io/?EIO=4&transport=polling"} {
			code, body := getAs(t, r.url+path, c.host, "http://"+c.host)
			if code != c.want && !(c.want == 200 && code == 503 && path == "/") { // 503: the pages are not built
				t.Errorf("%s of %s: %d %.200s", path, c.host, code, body)
			}
			if code == 200 && path == "/socket.io/?EIO=4&transport=polling" {
				leave(t, r.url, body)
			}
			if c.want == 403 {
				refused++
				if !strings.Contains(body, "--host NAME") || strings.Count(body, "\n") != 1 {
					t.Errorf("%s of %s: said %q", path, c.host, body)
				}
			}
		}
	}
	_, body := get(t, r.url+"/metrics")
	want := `greenroom_events_total{reason="http_foreign_host"} ` + strconv.Itoa(refused)
	if !strings.Contains(body, want+"\n") {
		t.Errorf("no %s in\n%s", want, body)
	}

	upgrade, err := http.NewRequest(http.MethodGet, r.url+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	upgrade.Host = "evil.example:" + port
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://evil.example:" + port,
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		upgrade.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(upgrade)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a WebSocket of a foreign host: %s", res.Status)
	}
}

// TestForeignHostsInsecure: who may come from anywhere may call the server by any name.
func TestForeignHostsInsecure(t *testing.T) {
	r := serve(t, "--insecure")
	if code, body := getAs(t, r.url+"/healthz", "rooms.example", ""); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func TestCheckHost(t *testing.T) {
	for name, want := range map[string]string{
		"rooms.example": "rooms.example", "Rooms.Example.": "rooms.example", "10.0.0.1": "10.0.0.1", "fd00::1": "fd00::1", "[fd00::1]": "fd00::1", "intranet": "intranet",
		"": "", ".": "", "rooms.example:80": "", "http://rooms.example": "", "*": "", "*.example": "", "a/b": "", "a b": "", "[fd00::1]:80": "", "a:b:c": "",
	} {
		got, err := checkHost(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}
