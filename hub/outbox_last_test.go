package hub

import (
	"testing"

	"greenroom/coop"
)

// The end of a connection whose outbox is full: what has left in part is finished, then the goodbye follows.
func TestOutboxLastFrame(t *testing.T) {
	for name, tc := range map[string]struct {
		left        int // bytes of the first frame that have left
		want        string
		frames, len int
	}{
		"nothing has left":     {0, "p", 1, 20},
		"a part has left":      {10, "ap", 2, 60 - 10 + 20},
		"a whole one has left": {60, "p", 1, 20},
		"one and a part":       {70, "bp", 2, 30 - 10 + 20},
	} {
		t.Run(name, func(t *testing.T) {
			onLoop(t, Options{OutboxBytes: 100}, func(h *Hub, l *coop.Loop) {
				var o Outbox
				o.Init(l, h, testWire, new(flushCount))
				for _, f := range []*Frame{roomFrame("a", 60), roomFrame("b", 30)} {
					if err := o.Push(f); err != nil {
						t.Error(err)
					}
				}
				o.advance(tc.left)
				o.DropUnsent()
				o.PushLast(ownFrame(20))
				first := ""
				for _, f := range o.queue {
					b := f.Bytes(testWire)
					if b[0] == '[' {
						first += string(b[2])
					} else {
						first += string(b[0])
					}
				}
				if first != tc.want || o.Len() != tc.frames || o.Bytes() != tc.len {
					t.Errorf("%q, %d frames, %d bytes; want %q, %d, %d", first, o.Len(), o.Bytes(), tc.want, tc.frames, tc.len)
				}
				if n := len(h.Counters()); n != 0 {
					t.Errorf("counted %v", h.Counters())
				}
			})
		})
	}
	// A goodbye is taken whatever waits.
	onLoop(t, Options{OutboxBytes: 100}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, new(flushCount))
		if err := o.Push(roomFrame("a", 100)); err != nil {
			t.Error(err)
		}
		o.PushLast(ownFrame(20))
		if o.Len() != 2 || o.Bytes() != 120 {
			t.Errorf("%d frames, %d bytes", o.Len(), o.Bytes())
		}
	})
}
