package hub

import (
	"testing"
	"time"
)

func TestMemoryIsReleasedWhenAStormIsOver(t *testing.T) {
	var c calm
	for i, step := range []struct {
		sessions int
		want     bool
	}{
		{0, false}, {0, false}, {999, false}, {999, false}, // too few
		{5000, false}, {9000, false}, {10_000, false}, {10_100, true}, // the storm, and its end
		{10_100, false}, {11_500, false}, {11_500, false}, // not a quarter more
		{15_000, false}, {15_000, true},
		{9000, false}, {9000, true}, // they have left
		{0, false}, {0, true}, {0, false},
	} {
		if got := c.after(step.sessions); got != step.want {
			t.Errorf("step %d, %d sessions: %v", i, step.sessions, got)
		}
	}
}

// It takes the option, and ends with the hub: TestMain looks for goroutines that are left.
func TestHubReleasesMemory(t *testing.T) {
	h := newTestHub(t, Options{ReleaseMemory: true})
	if err := h.Handle("/", Events{}); err != nil {
		t.Fatal(err)
	}
	for i := range releaseStep {
		connect(t, h, i%len(h.Loops().All()), "/", `{}`)
	}
	for deadline := time.Now().Add(time.Minute); h.Counters()["memory_released"] == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no memory was released")
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
