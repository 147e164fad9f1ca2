package hub

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// foreign sends on a publication of another node. Where nodes share what rooms have, it is kept here as well: so a join
// finds what comes while it reads, and there is something to answer with when what is shared is out of reach.
func (ns *Namespace) foreign(t Target, m *Message, retain bool) {
	if ns.hub.shared != nil && len(t.rooms) == 1 && m.readID() {
		m.Room = t.rooms[0]
		over, found := ns.foreignInto(t, m, retain)
		ns.drop(over)
		if found {
			return
		}
	}
	t.send(m)
}

// foreignInto reports false when the room does not exist here. One that is to retain the publication comes into being.
func (ns *Namespace) foreignInto(t Target, m *Message, retain bool) (over []*Room, found bool) {
	rec := ns.recovery
	if rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
	}
	var r *Room
	if retain = retain && CheckRoom(m.Room) == nil && m.readMeta(); retain {
		r = ns.lockRoom(m.Room)
	} else if r = ns.lookupRoom(m.Room); r == nil {
		return nil, false
	} else {
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.dead {
		return nil, false
	}
	d := t.delivery()
	if has := r.takeGivenLocked(m); len(has) > 0 {
		d.except = slices.Concat(d.except, has)
	}
	if rec != nil {
		rec.begin(d)
	}
	if retain {
		h := ns.hub
		h.retained.mu.Lock()
		defer h.retained.mu.Unlock()
		r.sequence(m, d)
		h.retained.put(m, m.saysNothing(), h)
	} else {
		r.sequence(m, d)
	}
	if !m.Volatile && (r.members > 0 || r.holds > 0) {
		r.history.add(m, ns.hub.opts)
	}
	return r.emptiedLocked(ns.hub.now()), true
}

// readID takes the id of a publication of another node out of its meta.
func (m *Message) readID() bool {
	p := &m.Payload
	i := bytes.LastIndex(p.JSON, metaStart) // its quotes are escaped wherever else it may stand
	if i < 0 {
		return false
	}
	room := i + len(metaStart)
	if room >= len(p.JSON) || p.JSON[room] != '"' {
		return false
	}
	rest, ok := bytes.CutPrefix(p.JSON[min(endOfString(p.JSON, room)+1, len(p.JSON)):], []byte(`,"id":"`))
	if !ok {
		return false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 1 || end > maxEventName {
		return false
	}
	m.ID, p.meta = string(rest[:end]), i+1
	m.epoch, m.count = "", 0
	rest, ok = bytes.CutPrefix(rest[end:], []byte(`","seq":`))
	for ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		m.count, rest = m.count*10+uint64(rest[0]-'0'), rest[1:]
	}
	if i := bytes.LastIndex(rest, []byte(`,"epoch":"`)); i >= 0 {
		if epoch, _, ok := bytes.Cut(rest[i+len(`,"epoch":"`):], []byte(`"`)); ok && len(epoch) <= maxEpoch {
			m.epoch = string(epoch)
		}
	}
	return true
}

// maxEpoch is no less than the length of an [Hub.Epoch].
const maxEpoch = 32

// origin is who counts a publication, and its number.
func (m *Message) origin(h *Hub) (epoch string, seq uint64) {
	if m.Foreign {
		return m.epoch, m.count
	}
	return h.epoch, m.Seq
}

// readMeta takes the rest out of it.
func (m *Message) readMeta() bool {
	if m.ID == "" && !m.readID() {
		return false
	}
	var meta struct {
		From Sender `json:"from"`
		At   int64  `json:"at"`
		Via  string `json:"via"`
	}
	p := &m.Payload
	if p.meta == 0 && !m.readID() {
		return false
	}
	if json.Unmarshal(p.JSON[p.meta:len(p.JSON)-1], &meta) != nil {
		return false
	}
	m.From, m.At, m.Via = &meta.From, time.UnixMilli(meta.At), meta.Via
	if m.Event == "" {
		event, err := p.event()
		if err != nil {
			return false
		}
		m.Event = event
	}
	return true
}

// saysNothing reports whether a publication, with its meta, has no arguments, or null alone.
func (m *Message) saysNothing() bool {
	bare := Payload{JSON: append(slices.Clip(m.Payload.JSON[:m.Payload.meta-1]), ']')}
	return bare.saysNothing(m.Event)
}
