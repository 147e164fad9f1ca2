package zeromq

import (
	"hash/maphash"

	"greenroom/hub"
)

// reader turns the messages of one connection into publications. It belongs to the connection's goroutine, and what
// it makes of a message is valid until the next one.
//
// It is where the allocations of ingress are counted: of a message [room, payload] or [room, event, payload] two or three
// things are made anew, which go to the hub: the payload's JSON or bytes, its box in an interface, and the list of
// arguments. Frames are views of the connection's read buffer, and so is a text, which the hub copies where it is to stay.
// Names are those of earlier messages, and the publication itself is used again.
type reader struct {
	format    *Format
	lends     bool  // texts are views of the frames
	unnamed   error // why Format.Event cannot be an event
	pubs      []hub.Publication
	checked   string // Format.Room, once it has been found acceptable
	addresses names[address]
	events    names[string]
	counters  map[string]uint32 // of the bitcoin layout, by topic
	missed    uint64            // messages that its counters say were lost
	later     inOrder           // publications about whose ids other nodes are asked, and those behind them
}

func newReader(f *Format) *reader { return &reader{format: f, unnamed: checkEvent(f.Event)} }

// lending is a reader for what is published before the next message is read.
func lending(f *Format) *reader {
	r := newReader(f)
	r.lends = true
	return r
}

// address is a room with its namespace.
type address struct{ namespace, room string }

// fixed is Format.Room, of layouts whose messages do not name one.
func (r *reader) fixed() (address, error) {
	a := address{r.format.Namespace, r.format.Room}
	if a.room != "" && a.room == r.checked {
		return a, nil
	}
	if err := checkAddress(a.namespace, a.room); err != nil {
		return a, err
	}
	r.checked = a.room
	return a, nil
}

// read replaces r.pubs by the publications of one message. A layout of ours copies what it keeps of frames; that of
// an application may keep them, so that it gets a copy.
func (r *reader) read(frames [][]byte) error {
	clear(r.pubs)
	r.pubs = r.pubs[:0]
	if own, ok := r.format.Layout.(layout); ok {
		return own.read(r, frames)
	}
	pubs, err := r.format.Layout.Parse(cloneFrames(frames), *r.format)
	r.pubs = append(r.pubs, pubs...)
	return err
}

// parse is a layout of ours as applications may call it.
func parse(l layout, frames [][]byte, f Format) ([]hub.Publication, error) {
	f = f.withDefaults()
	r := newReader(&f)
	if err := l.read(r, frames); err != nil {
		return nil, err
	}
	return r.pubs, nil
}

func cloneFrames(frames [][]byte) [][]byte {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	all, out := make([]byte, 0, size), make([][]byte, len(frames))
	for i, f := range frames {
		all = append(all, f...)
		out[i] = all[len(all)-len(f) : len(all) : len(all)]
	}
	return out
}

// address reads a topic: the room, or namespace and room.
func (r *reader) address(topic []byte) (address, error) {
	slot := r.addresses.slot(topic)
	if slot.text == string(topic) && slot.text != "" {
		return slot.value, nil
	}
	text := string(topic)
	a := address{r.format.Namespace, text}
	if r.format.NamespaceInTopic {
		a.namespace, a.room = splitTopic(text, r.format.Namespace)
	}
	if err := checkAddress(a.namespace, a.room); err != nil {
		return a, err
	}
	slot.text, slot.value = text, a
	return a, nil
}

// event reads an event's name.
func (r *reader) event(name []byte) (string, error) {
	slot := r.events.slot(name)
	if slot.text == string(name) && slot.text != "" {
		return slot.text, nil
	}
	text := string(name)
	if err := checkEvent(text); err != nil {
		return "", err
	}
	slot.text = text
	return text, nil
}

// add makes a publication of what was read.
func (r *reader) add(a address, event string, args []any) {
	r.pubs = append(r.pubs, hub.Publication{Namespace: a.namespace, Room: a.room, Event: event, Args: args})
}

// names remembers the strings that were made of bytes, checked, with what they mean: the last one of each slot. What
// a peer sends cannot make it grow.
type names[T any] struct {
	seed  maphash.Seed
	slots []nameSlot[T] // made by the first name
}

type nameSlot[T any] struct {
	text  string // "" is no name
	value T
}

const nameSlots = 64 // times at most 255 bytes

func (n *names[T]) slot(b []byte) *nameSlot[T] {
	if n.slots == nil {
		n.seed, n.slots = maphash.MakeSeed(), make([]nameSlot[T], nameSlots)
	}
	return &n.slots[maphash.Bytes(n.seed, b)%nameSlots]
}
