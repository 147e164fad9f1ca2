package hub

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// history is a room's ring of recent publications, bounded by count and bytes. The zero value is
// empty. Guarded by the room's lock.
type history struct {
	epoch   string // names this life of the room, so that ids of an earlier one are recognised
	entries []*Message
	start   int
	bytes   int
	lost    lost
}

// lost is the newest publication that the ring does not have: it has wrapped, or that one was too large. The zero value is none.
type lost struct {
	id     string
	offset uint64 // in the room
	seq    uint64 // of the newest of this node
}

func (h *history) len() int { return len(h.entries) - h.start }

func size(m *Message) int {
	n := len(m.Payload.JSON)
	for _, a := range m.Payload.Attachments {
		n += len(a)
	}
	return n
}

func (h *history) add(m *Message, o Options) {
	if o.HistoryMessages < 0 || size(m) > o.HistoryBytes {
		h.lose(m)
		return
	}
	h.entries = append(h.entries, m)
	h.bytes += size(m)
	for h.len() > o.HistoryMessages || h.bytes > o.HistoryBytes {
		h.bytes -= size(h.entries[h.start])
		h.lose(h.entries[h.start])
		h.entries[h.start] = nil
		h.start++
	}
	if h.start >= 32 && h.start*2 >= len(h.entries) {
		n := copy(h.entries, h.entries[h.start:])
		clear(h.entries[n:])
		h.entries, h.start = h.entries[:n], 0
	}
}

// lose notes that the ring does not have m.
func (h *history) lose(m *Message) {
	h.lost.id, h.lost.offset = m.ID, m.Offset
	if !m.Foreign {
		h.lost.seq = m.Seq
	}
}

// last returns up to limit publications, oldest first: the newest ones, or, given the id of one that
// the caller has, the first ones after it. complete is false when publications between that one and
// the first returned are lost: the ring has wrapped, or the id is of another life of the room. The
// messages are immutable.
func (h *history) last(limit int, after string) (found []*Message, complete bool) {
	all := h.entries[h.start:]
	if at, ok := h.behind(after); ok {
		all = all[at:]
		return slices.Clone(all[:min(limit, len(all))]), true
	}
	return slices.Clone(all[max(0, len(all)-limit):]), after == ""
}

// behind is where, among those kept, what comes after a publication begins. ok is false when some of that may be lost, or
// the id is of none that is known. A volatile one is not kept, but has its seq.
func (h *history) behind(id string) (at int, ok bool) {
	all := h.entries[h.start:]
	for i, m := range slices.Backward(all) {
		if m.ID == id {
			return i + 1, id != "" && m.Offset >= h.lost.offset
		}
	}
	seq, own := h.seq(id)
	if !own {
		return 0, false
	}
	at = len(all)
	for at > 0 && (all[at-1].Foreign || all[at-1].Seq > seq) {
		at--
	}
	if h.lost.id == "" || h.lost.id == id || at > 0 && all[at-1].Offset >= h.lost.offset {
		return at, true
	}
	_, lostOwn := h.seq(h.lost.id)
	return at, lostOwn && seq > h.lost.seq
}

// seq reads the id of a publication of this node, in this life of the room: the epoch, "-", its seq.
func (h *history) seq(id string) (uint64, bool) {
	n, ok := strings.CutPrefix(id, h.epoch+"-")
	if !ok || h.epoch == "" {
		return 0, false
	}
	seq, err := strconv.ParseUint(n, 10, 64)
	return seq, err == nil
}

// historyEntry is a publication as clients get it by `history` and `join`.
type historyEntry struct {
	ID    string
	Event string
	Args  []any // without meta
	Meta  json.RawMessage
}

// entry takes a publication apart. Binary values come back as such.
func entry(m *Message) (historyEntry, error) {
	parts, err := m.Payload.Split()
	if err != nil || len(parts) < 2 {
		return historyEntry{}, errNotArray
	}
	e := historyEntry{ID: m.ID, Event: m.Event, Meta: parts[len(parts)-1]}
	for _, raw := range parts[1 : len(parts)-1] {
		if len(m.Payload.Attachments) == 0 {
			e.Args = append(e.Args, raw)
			continue
		}
		var v any
		if err := m.Payload.Decode(raw, &v); err != nil {
			return historyEntry{}, err
		}
		e.Args = append(e.Args, v)
	}
	return e, nil
}

// object is the entry as an argument: {id, event, data, meta}, and args when there is not just one.
func (e historyEntry) object() map[string]any {
	o := map[string]any{"id": e.ID, "event": e.Event, "meta": e.Meta}
	if len(e.Args) > 0 {
		o["data"] = e.Args[0]
	}
	if len(e.Args) > 1 {
		o["args"] = e.Args
	}
	return o
}

// History lists up to limit publications that a room keeps, oldest first: the newest ones, or, given the id of one,
// the first ones after it. complete is false when some between that one and the first returned are lost. The
// messages are immutable. It is [Namespace.History]. Any goroutine.
func (h *Hub) History(namespace, room string, limit int, after string) (messages []*Message, complete bool) {
	ns := h.lookup(namespace)
	if ns == nil {
		return nil, after == ""
	}
	return ns.History(room, after, limit)
}
