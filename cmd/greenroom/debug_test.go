package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDebugShowsGreenlets(t *testing.T) {
	r := serve(t)
	listen(t, "--from", r.url, "lobby")
	parked := regexp.MustCompile(`(?m)^  #\d+ session \S+: parked: rest, for `)
	for deadline := time.Now().Add(patience); ; {
		code, body := get(t, r.url+"/debug/greenlets?stacks=1")
		if code == 200 && parked.MatchString(body) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("greenlets: %d\n%s", code, body)
		}
	}
	_, body := get(t, r.url+"/metrics")
	for _, want := range []string{`greenroom_loop_greenlets{loop="0"}`, `greenroom_loop_switches_total{loop="0"}`, `greenroom_loop_lag_seconds_bucket{le="0.1"}`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestDebugTrace(t *testing.T) {
	r := serve(t)
	answer := make(chan string, 1)
	go func() { // a trace that is being recorded when the others are asked for
		code, body := http.StatusConflict, ""
		for code == http.StatusConflict {
			code, body = get(t, r.url+"/debug/trace?seconds=30")
		}
		answer <- body
	}()
	for deadline := time.Now().Add(patience); ; {
		code, body := get(t, r.url+"/debug/trace?seconds=0.01&format=json")
		if code == http.StatusConflict {
			break
		}
		var file struct{ TraceEvents []any }
		if err := json.Unmarshal([]byte(body), &file); err != nil || code != 200 {
			t.Fatalf("%d: %v in %.200s", code, err, body)
		}
		if time.Now().After(deadline) {
			t.Fatal("two traces at a time")
		}
	}
	for _, query := range []string{"seconds=0", "seconds=-1", "seconds=31", "seconds=NaN", "seconds=x"} {
		if code, _ := get(t, r.url+"/debug/trace?"+query); code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, code)
		}
	}
	r.stop() // ends the trace too
	if body := <-answer; !strings.Contains(body, "<title>Greenlets</title>") {
		t.Errorf("the page: %.200s", body)
	}
}

// What a proxy passes on does not come from this machine.
func TestDebugIsLocal(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{{nil, http.StatusForbidden}, {[]string{"--debug"}, http.StatusOK}} {
		r := serve(t, c.args...)
		req, err := http.NewRequest("GET", r.url+"/debug/greenlets", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%v: %d, want %d", c.args, resp.StatusCode, c.want)
		}
	}
}
