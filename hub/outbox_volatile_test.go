package hub

import (
	"fmt"
	"testing"

	"greenroom/coop"
)

// Volatile messages that do not fit are missed, whatever the policy: they never cost a client its connection
// or another message.
func TestOutboxMissesVolatileMessagesThatDoNotFit(t *testing.T) {
	for _, policy := range []Policy{Disconnect, DropNewest, DropOldest, LatestOnly} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			onLoop(t, Options{OutboxBytes: 100, SlowConsumer: policy}, func(h *Hub, l *coop.Loop) {
				var o Outbox
				o.Init(l, h, testWire, &flushCount{})
				volatile := func(offset uint64) *Frame {
					f := roomFrame("v", 40)
					f.msg.Volatile, f.msg.Offset = true, offset // without an offset it is for one client alone
					return f
				}
				for i, f := range []*Frame{roomFrame("a", 40), volatile(1), volatile(2), volatile(0)} {
					if err := o.Push(f); err != nil {
						t.Errorf("push %d: %v", i, err)
					}
				}
				if o.Len() != 2 || o.Bytes() != 80 {
					t.Errorf("%d frames of %d bytes wait, want 2 of 80", o.Len(), o.Bytes())
				}
				if got := h.Counters(); len(got) != 1 || got["volatile_dropped"] != 2 {
					t.Errorf("counted %v", got)
				}
			})
		})
	}
}
