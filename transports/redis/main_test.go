//go:build unix

package redis

import (
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Silence()
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // these tests wait for servers, they do not burn
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen. Nothing is decided by its length.
const patience = time.Minute

// within waits until ok.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// witness is what a link tells: messages, counts, lines of the log.
type witness struct {
	mu     sync.Mutex
	got    []string // channel " " body
	counts map[string]int
	lines  []string
}

func (w *witness) message(channel string, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, channel+" "+string(body))
}

func (w *witness) count(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts == nil {
		w.counts = make(map[string]int)
	}
	w.counts[reason]++
}

func (w *witness) counted(reason string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[reason]
}

func (w *witness) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.got...)
}

// Write takes a line of the log.
func (w *witness) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, string(b))
	return len(b), nil
}

func (w *witness) logged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.lines...)
}

func testLog(w *witness) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// newTestLink makes a link that is closed when the test ends.
func newTestLink(t *testing.T, o Options, lo linkOptions) (*link, *witness) {
	t.Helper()
	topo, err := newTopology(o)
	if err != nil {
		t.Fatal(err)
	}
	w := new(witness)
	l := newLink(topo, lo, testLog(w), w.count, w.message)
	t.Cleanup(l.close)
	return l, w
}
