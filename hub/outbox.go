package hub

import (
	"slices"

	"greenroom/coop"
)

// Policy says what happens when a client does not read and its outbox is full.
type Policy uint8

const (
	// Disconnect closes the client's connection.
	Disconnect Policy = iota
	// DropNewest drops the room message that does not fit.
	DropNewest
	// DropOldest drops the oldest waiting room messages until the new one fits.
	DropOldest
	// LatestOnly keeps, while the client does not read, only the newest message per room and event; when
	// there are more of these than fit, it drops the oldest.
	LatestOnly
)

const (
	// writeCopyMax: up to this many bytes are gathered by copying into the loop's scratch buffer, which
	// is cheaper than building an iovec; more than that leaves by writev without a copy.
	writeCopyMax = 16 << 10
	// writevMax bounds the buffers of one writev (Linux allows 1024).
	writevMax = 256
	// outboxKeep: an emptied outbox keeps a queue of up to this many slots, so that a client in a busy
	// room does not allocate and an idle one holds next to nothing.
	outboxKeep = 8
)

// Outbox is the bounded queue of frames of one connection. It belongs to one loop. The zero value
// must be set up by Init. Frames are shared, so a queued frame costs its connection one pointer.
type Outbox struct {
	loop      *coop.Loop
	hub       *Hub
	flusher   coop.Flusher
	queue     []*Frame
	sent      int // bytes of queue[0] that have left
	bytes     int // of all frames queued, less sent
	saved     int // by compression, of all frames queued
	packMin   int32
	wire      Wire
	packed    Wire // of frames of packMin bytes or more, when packMin is not 0
	scheduled bool
	blocked   bool // the last write was short
}

// Init prepares the outbox of a connection which speaks w. f.Flush is called once, at the end of
// every tick in which something was pushed.
func (o *Outbox) Init(l *coop.Loop, h *Hub, w Wire, f coop.Flusher) {
	o.loop, o.hub, o.wire, o.flusher = l, h, w, f
}

// Len is the number of frames that wait.
func (o *Outbox) Len() int { return len(o.queue) }

// Last is the frame that was queued last, nil when none waits.
func (o *Outbox) Last() *Frame {
	if len(o.queue) == 0 {
		return nil
	}
	return o.queue[len(o.queue)-1]
}

// Bytes is the number of bytes that wait, in the present wire's encoding.
func (o *Outbox) Bytes() int { return o.bytes }

// Pack makes frames leave in the encoding of another wire, one derived from the outbox's (see [DeriveWire]) which
// is never longer, when they have at least min bytes without it and their message may be compressed. Call it
// while nothing waits, or right before SetWire.
//
// The bound of the outbox goes on to count the plain bytes: they are kept as long as the frame is, so a client
// that does not read holds no more memory because what it gets can be compressed well.
func (o *Outbox) Pack(w Wire, min int) { o.packed, o.packMin = w, int32(max(1, min)) }

// encoded is f as it leaves.
func (o *Outbox) encoded(f *Frame) []byte {
	b := f.Bytes(o.wire)
	if o.packMin > 0 && len(b) >= int(o.packMin) && f.compressible() {
		return f.Bytes(o.packed)
	}
	return b
}

// count adds a frame to what waits, or takes it off.
func (o *Outbox) count(f *Frame, sign int) {
	o.bytes += sign * len(o.encoded(f))
	o.saved += sign * o.saving(f)
}

// saving is by how much f is shorter as it leaves.
func (o *Outbox) saving(f *Frame) int {
	if o.packMin == 0 {
		return 0
	}
	return len(f.Bytes(o.wire)) - len(o.encoded(f))
}

// Push queues f and schedules a flush. [ErrSlowConsumer] means that the outbox is full and the
// connection must be closed by the caller; it has been counted. A frame dropped by the policy is
// counted too, and is no error. A single frame larger than the bound is taken when nothing waits.
func (o *Outbox) Push(f *Frame) error {
	take, err := o.makeRoom(f, len(f.Bytes(o.wire)))
	if !take {
		return err
	}
	o.append(f)
	return nil
}

// PushLast queues the last frame of a connection, whatever waits: a bound does not apply to a goodbye.
func (o *Outbox) PushLast(f *Frame) { o.append(f) }

func (o *Outbox) append(f *Frame) {
	o.queue = append(o.queue, f)
	o.count(f, 1)
	o.Schedule()
}

// makeRoom applies the policy before a frame of n plain bytes is queued. It reports whether to take it.
func (o *Outbox) makeRoom(f *Frame, n int) (take bool, err error) {
	limit, policy := o.hub.opts.OutboxBytes, o.hub.opts.SlowConsumer
	waiting := o.bytes + o.saved
	full := waiting+n > limit && len(o.queue) > 0
	switch {
	case full && f.volatile():
		// A burst within one tick: nobody has tried to write yet, so the client is not to blame.
		o.hub.Count("volatile_dropped")
		return false, nil
	case !f.Droppable():
		// What is promised to this client alone may use as much again before we give it up.
		if full && (policy == Disconnect || waiting+n > 2*limit) {
			return false, o.slow()
		}
		return true, nil
	case policy == LatestOnly && (full || o.blocked):
		o.dropSameKey(f.msg) // changes what waits
	case !full:
		return true, nil
	case policy == Disconnect:
		return false, o.slow()
	case policy == DropNewest:
		o.hub.Count("slow_consumer_dropped")
		return false, nil
	}
	if need := o.bytes + o.saved + n - limit; need > 0 && !o.dropOldest(need) {
		o.hub.Count("slow_consumer_dropped")
		return false, nil
	}
	return true, nil
}

// Schedule asks for a flush at the end of this tick, once.
func (o *Outbox) Schedule() {
	if !o.scheduled {
		o.scheduled = true
		o.loop.QueueFlush(o)
	}
}

// Flush implements [coop.Flusher].
func (o *Outbox) Flush() {
	o.scheduled = false
	o.flusher.Flush()
}

func (o *Outbox) slow() error {
	o.hub.Count("slow_consumer_disconnected")
	return ErrSlowConsumer
}

// dropOldest drops, and counts, the oldest frames that may be dropped until need bytes are free, or
// nothing waits. When others are in the way it drops none and reports false.
func (o *Outbox) dropOldest(need int) bool {
	end, fixed := 0, false
	for free := 0; free < need; end++ {
		if end == len(o.queue) {
			if fixed {
				return false
			}
			break
		}
		if o.mayDrop(end) {
			free += len(o.queue[end].Bytes(o.wire))
		} else {
			fixed = true
		}
	}
	o.drop(end, func(*Frame) bool { return true })
	return true
}

// dropSameKey drops, and counts, older messages of m's room and event.
func (o *Outbox) dropSameKey(m *Message) {
	o.drop(len(o.queue), func(f *Frame) bool {
		return f.msg.Event == m.Event && f.msg.Room == m.Room && f.msg.Namespace == m.Namespace
	})
}

// drop drops, and counts, those of the first end frames that may be dropped and for which which says so.
func (o *Outbox) drop(end int, which func(*Frame) bool) {
	kept := 0
	for i, f := range o.queue[:end] {
		if o.mayDrop(i) && which(f) {
			o.count(f, -1)
			o.hub.Count("slow_consumer_dropped")
			continue
		}
		o.queue[kept] = f
		kept++
	}
	o.queue = slices.Delete(o.queue, kept, end)
}

// mayDrop reports whether the policy may drop the frame at i: not one of which a part has left.
func (o *Outbox) mayDrop(i int) bool {
	return o.queue[i].Droppable() && (i > 0 || o.sent == 0)
}

// SetWire changes the wire (an upgrade) and counts what waits anew. No frame may have left in part.
func (o *Outbox) SetWire(w Wire) {
	o.wire = w
	o.bytes, o.saved = 0, 0
	for _, f := range o.queue {
		o.count(f, 1)
	}
}

// Clear drops all that waits, without counting: the connection is over.
func (o *Outbox) Clear() {
	o.queue, o.sent, o.bytes, o.saved, o.blocked = nil, 0, 0, 0, false
}

// DropUnsent drops, without counting, all frames but one that has left in part: the connection is over, and
// what is pushed now still makes sense to its client.
func (o *Outbox) DropUnsent() {
	keep := min(o.sent, 1)
	clear(o.queue[keep:])
	o.queue = o.queue[:keep]
	o.bytes, o.saved = 0, 0
	if keep == 1 {
		o.count(o.queue[0], 1)
		o.bytes -= o.sent
	}
}

// WriteTo writes what waits to s, as much as s takes now, in as few system calls as possible.
// drained is false when s wants no more; call WriteTo again from OnWritable.
func (o *Outbox) WriteTo(s *coop.Stream) (drained bool, err error) {
	for len(o.queue) > 0 {
		var n, want int
		if o.bytes <= writeCopyMax {
			buf := o.gather(o.loop.Scratch())
			want = len(buf)
			n, err = s.Write(buf)
		} else {
			bufs := o.vector()
			for _, b := range bufs {
				want += len(b)
			}
			n, err = s.Writev(bufs)
		}
		o.advance(n)
		if err != nil {
			return false, err
		}
		if n < want {
			o.blocked = true
			return false, nil
		}
	}
	o.blocked = false
	return true, nil
}

// gather copies all that waits into buf, which holds at least writeCopyMax bytes.
func (o *Outbox) gather(buf []byte) []byte {
	if len(o.queue) == 1 {
		return o.encoded(o.queue[0])[o.sent:]
	}
	buf = append(buf[:0], o.encoded(o.queue[0])[o.sent:]...)
	for _, f := range o.queue[1:] {
		buf = append(buf, o.encoded(f)...)
	}
	return buf
}

func (o *Outbox) vector() [][]byte {
	n := min(len(o.queue), writevMax)
	bufs := make([][]byte, n)
	for i, f := range o.queue[:n] {
		bufs[i] = o.encoded(f)
	}
	bufs[0] = bufs[0][o.sent:]
	return bufs
}

// advance takes n written bytes off the queue.
func (o *Outbox) advance(n int) {
	o.bytes -= n
	n += o.sent
	done := 0
	for done < len(o.queue) {
		size := len(o.encoded(o.queue[done]))
		if n < size {
			break
		}
		o.saved -= o.saving(o.queue[done])
		n -= size
		done++
	}
	o.sent = n
	o.shift(done)
}

// shift removes the first n frames.
func (o *Outbox) shift(n int) {
	rest := copy(o.queue, o.queue[n:])
	clear(o.queue[rest:])
	o.queue = o.queue[:rest]
	if rest == 0 && cap(o.queue) > outboxKeep {
		o.queue = nil
	}
}

// Compressible reports whether any of the frames that wait may be compressed.
func (o *Outbox) Compressible() bool { return slices.ContainsFunc(o.queue, (*Frame).compressible) }

// Parts removes frames from the head and returns them, as they go onto the wire: all of them, or as many as
// stay within maxBytes, but at least one. It is [Outbox.Take] for bodies that have no separator between packets.
func (o *Outbox) Parts(maxBytes int) [][]byte {
	size, parts := 0, make([][]byte, 0, len(o.queue))
	for _, f := range o.queue {
		b := f.Bytes(o.wire)
		if len(parts) > 0 && size+len(b) > maxBytes {
			break
		}
		size += len(b)
		parts = append(parts, b)
	}
	o.bytes -= size
	o.shift(len(parts))
	return parts
}

// Take removes frames from the head and returns them joined by sep: all of them, or as many as stay
// within maxBytes, but at least one. The caller owns the result. It is how a poll is answered.
func (o *Outbox) Take(sep byte, maxBytes int) []byte {
	n, size := 0, 0
	for _, f := range o.queue {
		b := len(f.Bytes(o.wire))
		if n > 0 && size+1+b > maxBytes {
			break
		}
		if n > 0 {
			size++
		}
		size += b
		n++
	}
	out := make([]byte, 0, size)
	for i, f := range o.queue[:n] {
		if i > 0 {
			out = append(out, sep)
		}
		b := f.Bytes(o.wire)
		out = append(out, b...)
		o.bytes -= len(b)
	}
	o.shift(n)
	return out
}
