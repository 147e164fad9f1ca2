package hub

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// modelFrame is a frame as the model of an outbox sees it.
type modelFrame struct {
	id, size int
	key      string // room and event; "" for what may not be dropped
	saved    int    // bytes by which it is shorter on the wire
}

// outboxModel does what the policies say, on a plain list.
type outboxModel struct {
	policy  Policy
	limit   int
	queue   []modelFrame
	sent    int  // bytes of queue[0]
	blocked bool // the last write was short
	dropped uint64
	slow    uint64
}

// bytes is what the bound counts; on the wire it is shorter.
func (m *outboxModel) bytes() int {
	n := -m.sent
	for _, f := range m.queue {
		n += f.size
	}
	return n
}

func (m *outboxModel) onWire() int {
	n := m.bytes()
	for _, f := range m.queue {
		n -= f.saved
	}
	return n
}

func (m *outboxModel) mayDrop(i int) bool { return m.queue[i].key != "" && (i > 0 || m.sent == 0) }

func (m *outboxModel) drop(i int) {
	m.queue = slices.Delete(slices.Clone(m.queue), i, i+1)
	m.dropped++
}

// push returns false when the client must be given up.
func (m *outboxModel) push(f modelFrame) bool {
	full := func() bool { return m.bytes()+f.size > m.limit && len(m.queue) > 0 }
	if f.key == "" {
		if full() && (m.policy == Disconnect || m.bytes()+f.size > 2*m.limit) {
			m.slow++
			return false
		}
		m.queue = append(m.queue, f)
		return true
	}
	if m.policy == LatestOnly && (full() || m.blocked) {
		for i := len(m.queue) - 1; i >= 0; i-- {
			if m.mayDrop(i) && m.queue[i].key == f.key {
				m.drop(i)
			}
		}
	}
	if full() {
		switch m.policy {
		case Disconnect:
			m.slow++
			return false
		case DropNewest:
			m.dropped++
			return true
		}
		fixed := -m.sent // what must stay
		for i, x := range m.queue {
			if !m.mayDrop(i) {
				fixed += x.size
			}
		}
		if fixed > 0 && fixed+f.size > m.limit {
			m.dropped++
			return true
		}
		for i := 0; i < len(m.queue) && full(); {
			if m.mayDrop(i) {
				m.drop(i)
			} else {
				i++
			}
		}
	}
	m.queue = append(m.queue, f)
	return true
}

// write takes n bytes off, fewer than all when the socket is slow.
func (m *outboxModel) write(n int) {
	m.blocked = n < m.onWire()
	n += m.sent
	for len(m.queue) > 0 && n >= m.queue[0].size-m.queue[0].saved {
		n -= m.queue[0].size - m.queue[0].saved
		m.queue = m.queue[1:]
	}
	m.sent = n
}

// TestOutboxModel compares every policy with the model: what is kept, in which order, what is dropped
// and counted, and the bound.
func TestOutboxModel(t *testing.T) {
	for _, policy := range []Policy{Disconnect, DropNewest, DropOldest, LatestOnly} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				limit := rapid.IntRange(20, 200).Draw(rt, "limit")
				h := &Hub{opts: Options{OutboxBytes: limit, SlowConsumer: policy}}
				l, err := coop.NewLoop(coop.LoopOptions{})
				if err != nil {
					rt.Fatal(err)
				}
				defer l.Close()
				var o Outbox
				o.Init(l, h, testWire, &flushCount{})
				if rapid.Bool().Draw(rt, "packed") {
					o.Pack(halvedWire, halvedMin)
				}
				m := outboxModel{policy: policy, limit: limit}
				ids := make(map[*Frame]int)
				for id := range rapid.IntRange(1, 60).Draw(rt, "steps") {
					switch rapid.IntRange(0, 9).Draw(rt, "what") {
					case 0, 1: // a write, complete or not
						n := rapid.IntRange(0, o.Bytes()).Draw(rt, "written")
						o.advance(n)
						o.blocked = o.Bytes() > 0
						m.write(n)
					default:
						f := modelFrame{id: id, size: rapid.IntRange(12, 100).Draw(rt, "size")}
						frame := ownFrame(f.size)
						if rapid.IntRange(0, 3).Draw(rt, "kind") > 0 {
							f.key = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")
							frame = roomFrame(f.key, f.size)
						}
						if o.packMin > 0 && f.size >= halvedMin {
							f.saved = f.size / 2
						}
						ids[frame] = id
						alive := m.push(f)
						if err := o.Push(frame); errors.Is(err, ErrSlowConsumer) == alive {
							rt.Fatalf("push %d of %d bytes: %v, want the client to live: %v", id, f.size, err, alive)
						}
					}
					var got, want []int
					for _, f := range o.queue {
						got = append(got, ids[f])
					}
					for _, f := range m.queue {
						want = append(want, f.id)
					}
					if !slices.Equal(got, want) || o.Bytes() != m.onWire() || o.Bytes()+o.saved != m.bytes() || o.sent != m.sent {
						rt.Fatalf("the queue is %v of %d bytes, want %v of %d", got, o.Bytes(), want, m.onWire())
					}
					if !slices.IsSorted(got) {
						rt.Fatalf("reordered: %v", got)
					}
					if o.Bytes()+o.saved > 2*limit && o.Len() > 1 {
						rt.Fatalf("%d bytes wait, the bound is %d", o.Bytes(), limit)
					}
					if onlyRoom := !slices.ContainsFunc(m.queue, func(f modelFrame) bool { return f.key == "" }); onlyRoom && o.Bytes()+o.saved > limit && o.Len() > 1 {
						rt.Fatalf("%d bytes of room messages wait, the bound is %d", o.Bytes(), limit)
					}
					c := h.Counters()
					if c["slow_consumer_dropped"] != m.dropped || c["slow_consumer_disconnected"] != m.slow {
						rt.Fatalf("counted %v, want %d dropped, %d disconnected", c, m.dropped, m.slow)
					}
				}
			})
		})
	}
}

// TestOutboxLatestOnlyBeforeTheClientStalls: a burst within one tick is too large; what stays is the newest.
func TestOutboxLatestOnlyBeforeTheClientStalls(t *testing.T) {
	onLoop(t, Options{OutboxBytes: 100, SlowConsumer: LatestOnly}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, &flushCount{})
		var last *Frame
		for range 10 {
			last = roomFrame("a", 40)
			if err := o.Push(last); err != nil {
				t.Error(err)
			}
		}
		if o.queue[o.Len()-1] != last {
			t.Error("the newest was dropped")
		}
	})
}

func TestOutboxSetWireCountsAnew(t *testing.T) {
	onLoop(t, Options{}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, &flushCount{})
		f := NewFrame(func(w Wire) []byte {
			if w == testWire {
				return []byte("123")
			}
			return []byte("12345")
		})
		for range 4 {
			if err := o.Push(f); err != nil {
				t.Error(err)
			}
		}
		if o.SetWire(otherWire); o.Bytes() != 20 || o.Len() != 4 {
			t.Errorf("%d frames of %d bytes, want 4 of 20", o.Len(), o.Bytes())
		}
		if o.Clear(); o.Bytes() != 0 || o.Len() != 0 {
			t.Errorf("%d frames of %d bytes are left", o.Len(), o.Bytes())
		}
	})
}
