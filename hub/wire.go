package hub

import (
	"fmt"
	"sync"
)

// Wire names one wire format that messages are encoded in, for example "Engine.IO 4 over WebSocket".
type Wire uint8

// maxWires bounds the formats: every [Frame] has one slot for each.
const maxWires = 16

var wires struct {
	sync.RWMutex
	names []string
	enc   [maxWires]func(*Message) []byte
	from  [maxWires]derivation
}

// derivation says how a wire's bytes are made of another one's.
type derivation struct {
	wire   Wire
	derive func([]byte) []byte // nil for a wire that encodes messages itself
}

// RegisterWire adds a wire format. Transports call it once, from a package-level variable.
// enc must be pure: it is called at most a few times per message, from any goroutine, and its
// result is shared by all receivers. It panics when more than sixteen formats are registered, which
// only a change of the program's source can cause.
func RegisterWire(name string, enc func(*Message) []byte) Wire {
	wires.Lock()
	defer wires.Unlock()
	return addWire(name, enc, derivation{})
}

// DeriveWire adds a wire format whose bytes are made of another one's: compressed ones, for example. That holds
// for every frame, a transport's own packets too, so who makes frames need not know of it. derive must be pure,
// and may return its argument, which it does not modify. It is called once per frame, however many loops ask for
// the result at the same time: the others wait, so it is worth it for what takes longer than a copy. The same
// wire and name give the same wire again.
func DeriveWire(name string, from Wire, derive func([]byte) []byte) Wire {
	wires.Lock()
	defer wires.Unlock()
	for i, d := range wires.from {
		if d.derive != nil && d.wire == from && wires.names[i] == name {
			return Wire(i)
		}
	}
	return addWire(name, nil, derivation{from, derive})
}

// addWire needs the lock.
func addWire(name string, enc func(*Message) []byte, from derivation) Wire {
	n := len(wires.names)
	if n == maxWires {
		panic(fmt.Sprintf("hub: more than %d wire formats: %q", maxWires, name))
	}
	wires.names = append(wires.names, name)
	wires.enc[n], wires.from[n] = enc, from
	return Wire(n)
}

// String is the name the format was registered with.
func (w Wire) String() string {
	wires.RLock()
	defer wires.RUnlock()
	if int(w) < len(wires.names) {
		return wires.names[w]
	}
	return fmt.Sprintf("wire(%d)", uint8(w))
}

func (w Wire) encode(m *Message) []byte {
	wires.RLock()
	enc := wires.enc[w]
	wires.RUnlock()
	return enc(m)
}

// derived is how w's bytes are made, if they are made of another wire's.
func (w Wire) derived() (derivation, bool) {
	wires.RLock()
	defer wires.RUnlock()
	d := wires.from[w]
	return d, d.derive != nil
}
