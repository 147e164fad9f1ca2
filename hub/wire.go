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
}

// RegisterWire adds a wire format. Transports call it once, from a package-level variable.
// enc must be pure: it is called at most a few times per message, from any goroutine, and its
// result is shared by all receivers. It panics when more than sixteen formats are registered, which
// only a change of the program's source can cause.
func RegisterWire(name string, enc func(*Message) []byte) Wire {
	wires.Lock()
	defer wires.Unlock()
	n := len(wires.names)
	if n == maxWires {
		panic(fmt.Sprintf("hub: more than %d wire formats: %q", maxWires, name))
	}
	wires.names = append(wires.names, name)
	wires.enc[n] = enc
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
