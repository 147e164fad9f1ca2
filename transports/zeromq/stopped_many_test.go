//go:build unix

package zeromq

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/transports/zeromq/internal/guard"
)

// TestStoppedSubscriberBesideMany: one libzmq SUB of 100 is stopped. The 99 hear everything, in order, while it is
// there and its queue full; it costs no more than its bound, and loses what is counted or is disconnected.
func TestStoppedSubscriberBesideMany(t *testing.T) {
	const (
		many  = 99
		queue = 512 << 10
		// What the queues and buffers of all may take, with room for a test binary's own.
		heapBound = (many + 1) * queue
	)
	for name, o := range map[string]Options{
		"drop":       {Slow: SlowDrop, SlowAfter: patience},
		"disconnect": {SlowAfter: 5 * time.Second}, // a healthy one is never that late: see keepUp
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub()
			o.Pub, o.QueueBytes, o.MaxPending, o.HandshakeTimeout = anyPort, queue, 2*many, patience
			b := listen(t, h, o)
			stopped := python(t, "many.py", "1", b.Addr("pub"), "small", "room", "alone")
			t.Cleanup(func() { _ = stopped.Signal(syscall.SIGCONT) }) // a stopped process does not end at SIGTERM
			eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 3 })
			name := b.SubscriberStats()[0].Remote
			if err := stopped.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			healthy := python(t, "many.py", fmt.Sprint(many), b.Addr("pub"), "room")
			eventually(t, "their subscriptions", func() bool { return b.egress.topics.size() == 3+2*many })

			// keepUp waits until little waits for the healthy, however busy the machine is, and returns the stopped
			// one's state.
			keepUp := func() (its SubscriberStats) {
				eventually(t, "the healthy ones to take what is theirs", func() bool {
					its = SubscriberStats{}
					most := 0
					for _, s := range b.SubscriberStats() {
						if s.Remote == name {
							its = s
						} else {
							most = max(most, s.QueuedBytes)
						}
					}
					return most <= queue/8
				})
				return its
			}
			body := strings.Repeat("x", 16<<10) // so that the system's buffers are full soon
			sent, offered := 0, 0
			round := func() SubscriberStats {
				h.emit(t, "room", "flood", sent, body)
				sent++
				for range 20 { // which the stopped one alone has subscribed to
					h.emit(t, "alone", "flood", sent, body)
				}
				offered += 21 * len(body)
				its := keepUp()
				if its.QueuedBytes > 2*queue { // what waits, and what is being written
					t.Fatalf("%d bytes wait for the stopped one", its.QueuedBytes)
				}
				return its
			}
			before := heapInUse()
			its := round()
			for its.Dropped == 0 && its.Remote != "" { // on a slow machine it may be ended already
				its = round()
			}
			full := sent
			for offered < 2*heapBound || sent < full+100 {
				its = round()
			}
			if grown := heapInUse() - before; grown > heapBound {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			if o.Slow == SlowDisconnect {
				ended := func() bool {
					h.mu.Lock()
					defer h.mu.Unlock()
					return h.counts[guard.ReasonLate]+h.counts[reasonSlow] == 1
				}
				for end := time.Now().Add(patience); !ended(); round() {
					if time.Now().After(end) {
						t.Fatal("waited in vain for the stopped one's end")
					}
				}
				eventually(t, "the healthy ones alone", func() bool { return b.Peers("pub") == many })
			} else if its.Dropped == 0 || its.Topics != 3 || b.Peers("pub") != many+1 {
				t.Errorf("%d peers, the stopped one: %+v", b.Peers("pub"), its)
			}
			h.emit(t, "ctl", "end")
			if got, want := finished(t, healthy), fmt.Sprintf("%d heard %d\n", many, sent); got != want {
				t.Errorf("said %q, want %q", got, want)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if o.Slow == SlowDrop && uint64(h.counts[reasonDropped]+h.counts[reasonStale]) < its.Dropped {
				t.Errorf("counted %v, it has missed %d", h.counts, its.Dropped)
			}
		})
	}
}

// heapInUse is what is in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
