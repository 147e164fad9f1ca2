package main

import (
	"strings"
	"testing"
	"time"

	"greenroom/transports/zeromq"
)

// TestSubscriberGauges: what ZeroMQ subscribers have subscribed to, and that it is gone with them.
func TestSubscriberGauges(t *testing.T) {
	r := serve(t)
	awaitMetrics(t, r.url, "greenroom_zeromq_topics 0", "greenroom_zeromq_subscribers 0", "greenroom_zeromq_lag_seconds 0")
	for _, topics := range [][]string{{"prices.", "news"}, {"news"}} {
		sub, err := zeromq.Subscribe(t.Context(), r.pub, topics...)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
	}
	awaitMetrics(t, r.url, "greenroom_zeromq_topics 2", "greenroom_zeromq_subscriptions 3", "greenroom_zeromq_subscribers 2",
		"greenroom_zeromq_queued_messages 0", "greenroom_zeromq_queued_bytes 0")
	third, err := zeromq.Subscribe(t.Context(), r.pub, "more")
	if err != nil {
		t.Fatal(err)
	}
	awaitMetrics(t, r.url, "greenroom_zeromq_topics 3")
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	awaitMetrics(t, r.url, "greenroom_zeromq_topics 2", "greenroom_zeromq_subscribers 2")
}

// awaitMetrics waits until all these lines stand in /metrics together.
func awaitMetrics(t *testing.T, url string, lines ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, body := get(t, url+"/metrics")
		missing := ""
		for _, line := range lines {
			if !strings.Contains(body, "\n"+line+"\n") {
				missing = line
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", missing, body)
		}
	}
}
