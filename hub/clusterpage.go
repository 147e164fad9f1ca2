package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"greenroom/coop"
)

// A page of a list that all nodes have a part of is made of each one's own page: what is among the first of all is among
// the first of those who have it. So what a question brings is bounded by the length of a page and the number of nodes.
// The questions are events of the nodes', as those of [Namespace.ServerAsk], whose names nobody else may use. A Node.js
// node does not know them, and is missing.
const (
	ownServerEvent = "$greenroom:"
	askRooms       = ownServerEvent + "rooms"
	askSessions    = ownServerEvent + "sessions"
)

const (
	// maxPageBytes bounds what one node says of its part, roughly. Then it says less, and that it does.
	maxPageBytes = 1 << 20
	// maxPageLimit bounds the entries that another node may ask for.
	maxPageLimit = 1000
)

// PageQuery says which part of a list is wanted: the first Limit of those behind After, of Room, or whose names begin with
// Prefix.
type PageQuery struct {
	Room   string        `json:"room,omitempty"`   // of sessions: that are in it; "" for all there are
	Prefix string        `json:"prefix,omitempty"` // of rooms
	After  string        `json:"after,omitempty"`
	Limit  int           `json:"limit"` // at most 1000
	Within time.Duration `json:"-"`     // how long other nodes are waited for, default 5 s
}

// PageEnd says what follows a page, and whose part of it is there.
type PageEnd struct {
	More  bool     // something follows behind the last entry
	Nodes []string // those that have answered, this one first
}

// entryOf is an entry of a list, whose place is behind those whose keys are less.
type entryOf interface{ key() string }

// portion is what one node says.
type portion[T entryOf] struct {
	List []T  `json:"list"`
	More bool `json:"more,omitempty"` // it has more behind the last of them
}

// roomPart is a room in it.
type roomPart struct {
	Name    string `json:"room"`
	Members int    `json:"members"`
}

func (r roomPart) key() string { return r.Name }

// sessionPart is a session in it.
type sessionPart struct {
	ID         string   `json:"id"`
	Rooms      []string `json:"rooms"`
	Transport  string   `json:"transport,omitempty"`
	Connection string   `json:"connection,omitempty"`
	Address    string   `json:"address,omitempty"`

	node string
}

func (s sessionPart) key() string { return s.ID }

// AllRoomPage is [Namespace.RoomPage] for all nodes: a room's members are those on all of them. Like
// [Namespace.ServerAsk] it returns what it has together with a [*MissingError] when some were silent.
func (ns *Namespace) AllRoomPage(q PageQuery) ([]RoomInfo, PageEnd, error) {
	q.Limit = max(1, min(q.Limit, maxPageLimit))
	parts, end, err := askParts(ns, askRooms, q, func() (portion[roomPart], error) { return ns.roomsPart(q), nil })
	if err != nil && parts == nil {
		return nil, end, err
	}
	members := make(map[string]int)
	for _, p := range parts {
		for _, r := range p.List {
			members[r.Name] += max(r.Members, 0)
		}
	}
	list := make([]RoomInfo, 0, len(members))
	for name, n := range members {
		list = append(list, RoomInfo{name, n})
	}
	slices.SortFunc(list, func(a, b RoomInfo) int { return strings.Compare(a.Name, b.Name) })
	list, end.More = cutPage(parts, list, q.Limit, func(r RoomInfo) string { return r.Name })
	return list, end, err
}

// AllSessionPage is [Namespace.SessionPage] for all nodes. Of sessions on other nodes it tells less than
// [Target.Sessions] does: neither Data nor, but for the address, what their handshakes said.
func (ns *Namespace) AllSessionPage(q PageQuery) ([]Snapshot, PageEnd, error) {
	q.Limit = max(1, min(q.Limit, maxPageLimit))
	var own []Snapshot
	parts, end, err := askParts(ns, askSessions, q, func() (portion[sessionPart], error) {
		var err error
		own, err = ns.SessionPage(q.Room, q.After, q.Limit)
		return portion[sessionPart]{More: len(own) == q.Limit, List: sessionParts(own)}, err
	})
	if err != nil && parts == nil {
		return nil, end, err
	}
	found := own
	for i, p := range parts[1:] {
		for _, s := range p.List {
			s.node = end.Nodes[i+1]
			found = append(found, s.snapshot(ns))
		}
	}
	// One that moves to another node may be on both for a moment.
	slices.SortStableFunc(found, func(a, b Snapshot) int { return strings.Compare(a.ID, b.ID) })
	found = slices.CompactFunc(found, func(a, b Snapshot) bool { return a.ID == b.ID })
	found, end.More = cutPage(parts, found, q.Limit, func(s Snapshot) string { return s.ID })
	return found, end, err
}

func sessionParts(found []Snapshot) []sessionPart {
	list := make([]sessionPart, 0, len(found))
	for _, s := range found {
		p := sessionPart{ID: s.ID, Rooms: s.Rooms, Transport: s.Transport, Connection: s.Connection}
		if s.Handshake != nil && s.Handshake.Request != nil {
			p.Address = s.Handshake.RemoteAddr
		}
		list = append(list, p)
	}
	return list
}

func (p *sessionPart) snapshot(ns *Namespace) Snapshot {
	return Snapshot{
		ID: p.ID, Namespace: ns.name, Node: p.node, Rooms: p.Rooms, Transport: p.Transport, Connection: p.Connection, hub: ns.hub,
		Handshake: &Handshake{Request: &Request{RemoteAddr: p.Address}, Auth: json.RawMessage("{}")},
	}
}

// askParts has own say this node's part while the others say theirs. Without any part there is an error that is none of
// being silent.
func askParts[T entryOf](ns *Namespace, event string, q PageQuery, own func() (portion[T], error)) (parts []portion[T], end PageEnd, err error) {
	h := ns.hub
	end.Nodes = []string{h.opts.Node}
	var g *gather
	var m *meeting
	if h.opts.Adapter != nil {
		if m, err = h.newMeeting(); err != nil {
			return nil, end, err
		}
		payload, err := EncodeArgs(event, q)
		if err != nil {
			return nil, end, err
		}
		g = newGather(h, m.over)
		h.request(g, &NodeRequest{Op: OpServer, Namespace: ns.name, Payload: payload, Timeout: q.within()})
	}
	began := time.Now()
	first, err := own()
	parts = append(parts, first)
	silent := (*MissingError)(nil)
	if err != nil && !errors.As(err, &silent) {
		if g != nil {
			g.close()
		}
		return nil, end, err
	}
	if g == nil {
		return parts, end, err
	}
	g.step()
	err = g.wait(m, max(q.within()-time.Since(began), time.Millisecond))
	others := (*MissingError)(nil)
	if err != nil && !errors.As(err, &others) {
		return nil, end, err
	}
	if others == nil {
		others = &MissingError{Err: coop.ErrTimeout}
	}
	for _, a := range g.answers {
		p, ok := readPart[T](a.Payload, &q)
		if !ok {
			h.Count("page_unreadable")
			others.Nodes = append(others.Nodes, a.Node)
			continue
		}
		parts, end.Nodes = append(parts, p), append(end.Nodes, a.Node)
	}
	if silent != nil {
		others.Nodes = append(others.Nodes, silent.Nodes...)
	}
	if len(others.Nodes) == 0 {
		return parts, end, nil
	}
	slices.Sort(others.Nodes)
	return parts, end, others
}

func (q *PageQuery) within() time.Duration { return cmp.Or(max(q.Within, 0), defaultWithin) }

// readPart reads what another node has said: no more than what was asked for, and in order, since the page that follows
// begins behind it.
func readPart[T entryOf](p Payload, q *PageQuery) (said portion[T], ok bool) {
	parts, err := p.Split()
	if err != nil || len(parts) != 1 || json.Unmarshal(parts[0], &said) != nil {
		return said, false
	}
	if said.List == nil || len(said.List) > q.Limit { // a refusal has none
		return said, false
	}
	last := q.After
	for _, e := range said.List {
		if e.key() <= last {
			return said, false
		}
		last = e.key()
	}
	return said, true
}

// cutPage is a page of what several nodes have said: as far as all of them have said everything.
func cutPage[T entryOf, U any](parts []portion[T], all []U, limit int, name func(U) string) (list []U, more bool) {
	for _, p := range parts {
		if !p.More || len(p.List) == 0 {
			continue
		}
		last := p.List[len(p.List)-1].key()
		i, _ := slices.BinarySearchFunc(all, last, func(u U, last string) int { return strings.Compare(name(u), last) })
		all, more = all[:min(i+1, len(all))], true
	}
	if len(all) > limit {
		all, more = all[:limit], true
	}
	return all, more
}

// roomsPart is what this node says of its rooms.
func (ns *Namespace) roomsPart(q PageQuery) (p portion[roomPart]) {
	found := ns.RoomPage(q.Prefix, q.After, q.Limit+1, nil)
	if p.More = len(found) > q.Limit; p.More {
		found = found[:q.Limit]
	}
	p.List = make([]roomPart, 0, len(found))
	for _, r := range found {
		p.List = append(p.List, roomPart(r))
	}
	return p
}

// servePage answers another node's question, in a greenlet. ok is false if it is none of these.
func (ns *Namespace) servePage(event string, p Payload) (answer Payload, ok bool) {
	if event != askRooms && event != askSessions {
		return answer, false
	}
	var q PageQuery
	if parts, err := p.Split(); err != nil || len(parts) != 2 || json.Unmarshal(parts[1], &q) != nil || q.Limit < 1 || q.Limit > maxPageLimit {
		ns.hub.Count("page_unreadable")
		return refusalPayload(refusal("bad_arguments", "no such page")), true
	}
	var said any
	if event == askRooms {
		said = ns.roomsPart(q)
	} else {
		found, err := ns.SessionPage(q.Room, q.After, q.Limit)
		if err != nil { // a loop is silent: this part would have holes
			return refusalPayload(err), true
		}
		own := portion[sessionPart]{More: len(found) == q.Limit, List: sessionParts(found)}
		if n := fittingParts(own.List); n < len(own.List) {
			own.List, own.More = own.List[:n], true
		}
		said = own
	}
	answer, err := encodeAck(said)
	if err != nil {
		return refusalPayload(err), true
	}
	return answer, true
}

// fittingParts is how many of a list, at least one, make an answer that is not too large.
func fittingParts(list []sessionPart) int {
	size := 0
	for i := range list {
		for _, room := range list[i].Rooms {
			size += len(room) + 3
		}
		if size += 200; size > maxPageBytes && i > 0 {
			return i
		}
	}
	return len(list)
}
