package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// adminHash is that of "sesame", at the least cost.
const adminHash = `$2a$04$N07Jia.fr1NjLXBa5ktKau4PLZ69cSXO6bPocaYPyPzoQAlg0Ia0e`

// TestAdminUI: the Admin UI of another origin logs in, by polling, as its page does.
func TestAdminUI(t *testing.T) {
	const origin = "https://admin.socket.io"
	r := serve(t, "--admin-ui", "--admin-user", "ann", "--admin-hash", adminHash, "--cors-origin", origin)
	do := func(method, query, body string) string {
		t.Helper()
		req, err := http.NewRequest(method, r.url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %q, %v", resp.Status, b, err)
		}
		if h := resp.Header; h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("the page may not read this: %v", h)
		}
		return string(b)
	}
	_, rest, _ := strings.Cut(do("GET", "", ""), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	until := func(want string) {
		t.Helper()
		for got := ""; !strings.Contains(got, want); got += do("GET", "&sid="+sid, "") {
			if strings.Contains(got, "server_stats") {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	do("POST", "&sid="+sid, `40/admin,{"username":"ann","password":"open"}`)
	until(`44/admin,{"message":"invalid credentials"}`)
	do("POST", "&sid="+sid, `40/admin,{"username":"ann","password":"sesame"}`)
	until(`"supportedFeatures":["EMIT",`)
	do("POST", "&sid="+sid, "1") // or the server's end waits for it
}

// TestNoAdminUI: without the flag there is no such namespace, and pages of other sites get no credentials.
func TestNoAdminUI(t *testing.T) {
	r := serve(t, "--cors-origin", "https://admin.socket.io")
	_, body := get(t, r.url+"/socket.io/?EIO=4&transport=polling")
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	target := r.url + "/socket.io/?EIO=4&transport=polling&sid=" + sid
	resp, err := http.Post(target, "text/plain", strings.NewReader(`40/admin,{"username":"ann","password":"sesame"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("credentials are allowed")
	}
	if _, got := get(t, target); got != `44/admin,{"message":"Invalid namespace"}` {
		t.Errorf("got %q", got)
	}
	if resp, err = http.Post(target, "text/plain", strings.NewReader("1")); err == nil { // or the server's end waits for it
		_ = resp.Body.Close()
	}
}
