package guard

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestBacklogIsNotCopied: a queue of many blocks arrives whole and in order, and no block but that of one message that
// is larger grows beyond blockBytes: what waits already is never copied to make room.
func TestBacklogIsNotCopied(t *testing.T) {
	c, _, theirs := open(t, "tcp", "XPUB", "SUB", Limits{QueueBytes: 64 << 20, QueueMessages: 1 << 20})
	var want []byte
	for i := range 100 {
		msg := message(strings.Repeat(string(rune('a'+i%26)), 40_000))
		if i%20 == 19 {
			msg = message(strings.Repeat("L", 3*blockBytes))
		}
		if !c.TrySend(msg) {
			t.Fatalf("message %d does not fit", i)
		}
		want = append(want, msg...)
		c.out.mu.Lock()
		for _, b := range append(c.out.blocks, c.out.out) {
			if len(b) > blockBytes && len(b) != len(message(strings.Repeat("L", 3*blockBytes))) {
				t.Errorf("a block of %d bytes", len(b))
			}
		}
		c.out.mu.Unlock()
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("what arrived differs: %v", err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if bytes, messages, _ := c.Load(); bytes != 0 || messages != 0 {
		t.Errorf("%d bytes of %d messages still count", bytes, messages)
	}
}
