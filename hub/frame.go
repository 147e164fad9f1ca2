package hub

import (
	"sync"
	"sync/atomic"
)

// Frame is what an outbox holds: one unit that leaves whole, encoded once for each wire in use, however
// many clients get it. A Frame may be used from any goroutine and is never modified.
type Frame struct {
	msg   *Message          // nil for a transport's own packet
	own   func(Wire) []byte // encoder of a transport's own packet
	bytes [maxWires]atomic.Pointer[[]byte]

	deriving sync.Mutex // held while a derived wire's bytes are made
}

// MessageFrame makes the frame of a message. Use one frame for all receivers of a message.
func MessageFrame(m *Message) *Frame { return &Frame{msg: m} }

// NewFrame makes a frame of a transport's own packet (ping, ack, connect reply, …). enc gives the
// bytes for a wire and must be pure. Such frames are never dropped by a slow-consumer policy.
func NewFrame(enc func(Wire) []byte) *Frame { return &Frame{own: enc} }

// Bytes is the frame as it goes onto the wire. Do not modify it. When two goroutines ask first at
// the same time both encode, and one result is kept.
func (f *Frame) Bytes(w Wire) []byte {
	if p := f.bytes[w].Load(); p != nil {
		return *p
	}
	if d, ok := w.derived(); ok {
		return f.derive(w, d)
	}
	var b []byte
	if f.own != nil {
		b = f.own(w)
	} else {
		b = w.encode(f.msg)
	}
	if !f.bytes[w].CompareAndSwap(nil, &b) {
		return *f.bytes[w].Load()
	}
	return b
}

// derive makes the bytes of a derived wire, once.
func (f *Frame) derive(w Wire, d derivation) []byte {
	plain := f.Bytes(d.wire)
	f.deriving.Lock()
	defer f.deriving.Unlock()
	if p := f.bytes[w].Load(); p != nil {
		return *p
	}
	b := d.derive(plain)
	f.bytes[w].Store(&b)
	return b
}

// compressible reports whether the frame may be compressed.
func (f *Frame) compressible() bool { return f.msg == nil || !f.msg.NoCompress }

// Droppable reports whether a slow-consumer policy may drop the frame: room messages yes, what is
// addressed to one client (acks, direct messages, the transport's packets) no.
func (f *Frame) Droppable() bool { return f.msg != nil && f.msg.Offset > 0 }

func (f *Frame) volatile() bool { return f.msg != nil && f.msg.Volatile }

// Message is the message the frame carries, or nil.
func (f *Frame) Message() *Message { return f.msg }
