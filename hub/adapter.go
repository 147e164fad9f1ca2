package hub

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Adapter joins the hubs of several nodes to one: what a hub does by [Target], it asks the others to do as well. A
// hub without one is alone. Its methods are called from any goroutine and from loops, and never block for long.
type Adapter interface {
	// Join connects node, once, by [New]. From then on the adapter gives it the requests of other nodes.
	Join(node Node) error
	// Send passes r on to all other nodes, in the order of the calls that one goroutine makes. With a reply, it calls
	// that, from any goroutine, for what comes from them, in the end with Last set, until cancel is called, which
	// names the nodes that have not answered completely, as well as it can. Without, cancel is nil. An error means
	// that r may not have reached all.
	Send(r *NodeRequest, reply func(NodeReply)) (cancel func() (silent []string), err error)
	// Close leaves the others. [Hub.Close] calls it.
	Close() error
}

// Node is a hub as its [Adapter] sees it.
type Node interface {
	// Name is how the node is called in replies, [Options.Node].
	Name() string
	// Serve does what another node asks for, and never blocks. With a reply, it calls that, from any goroutine,
	// for what there is to answer, in the end with Done set.
	Serve(r *NodeRequest, reply func(NodeReply))
	// Namespaces lists those there are, by name, and Namespace finds one, or nil; Observe tells of those that come and go,
	// and of rooms, as [Hub.Observe] does.
	Namespaces() []*Namespace
	Namespace(name string) *Namespace
	Observe(o Observer) (cancel func())
	// WatchDemand tells d what this node wants to hear of others, first of what there is already, until cancel is
	// called; see [Hub.WatchRooms].
	WatchDemand(d Demand) (cancel func())
	// Hears reports whether anybody on this node would get a message to one of rooms, or without any to all. Any
	// goroutine. It costs a few look-ups, so that what nobody hears need not be decoded.
	Hears(namespace string, rooms []string) bool
	// KeepsFor is how long sessions here wait for their clients, whose rooms must be heard meanwhile; 0: they do not.
	KeepsFor() time.Duration
	// Missed looks up what was not heard while messages of other nodes were lost, and tells those here who watch who is in
	// a room. It does not wait for that.
	Missed()
	// Announce tells all nodes again who is here: what they share has forgotten this node.
	Announce()
	// Count and Logger are the hub's.
	Count(reason string)
	Logger() *slog.Logger
}

// RoomAdapter is an [Adapter] that brings the messages of a room only once it has asked for them: what others send
// between a session's join and that moment does not come.
type RoomAdapter interface {
	Adapter
	// Hear asks for the messages of a room that somebody here is about to join, and calls heard, from any goroutine and
	// perhaps at once, when what others send there comes from now on, or cannot come. It returns at once.
	Hear(namespace, room string, heard func())
}

// hearWithin bounds how long [Session.Hear] waits.
const hearWithin = time.Second

// Hear parks until what other nodes send to a room comes to this one, so that a session that then joins misses none of it;
// at most for a second: [coop.ErrTimeout]. Without a [RoomAdapter] it returns at once. For the session's handler.
func (s *Session) Hear(room string) error {
	h := s.ns.hub
	if h.rooms == nil || s.In(room) {
		return nil
	}
	var now atomic.Bool // it did not take any time
	m := &meeting{greenlet: s.greenlet}
	h.rooms.Hear(s.ns.name, room, func() {
		now.Store(true)
		m.over()
	})
	if now.Load() {
		return nil
	}
	return m.wait(hearWithin)
}

// Op is what a [NodeRequest] asks for.
type Op uint8

// The operations. Those that name a reply have one, the others are done and forgotten.
const (
	OpEmit       Op = iota // send Payload to those addressed
	OpAsk                  // the same, and collect Answers for the time of Timeout
	OpJoin                 // make those addressed enter Room
	OpLeave                // make them leave Room
	OpDisconnect           // end their sessions for Reason, with the whole connection if CloseConn
	OpSessions             // reply with Sessions
	OpServer               // Payload is for [Namespace.OnServer]; reply, if there is one, with an answer of its own
	OpRooms                // reply with Rooms
	OpReplaced             // with a [Sequencer]: another node has the session that was saved for Room with the token Reason
)

// NodeRequest is one thing that a hub asks all other nodes to do. Read-only.
type NodeRequest struct {
	Op        Op
	Namespace string
	Rooms     []string // who is addressed: as in [Namespace.To]
	Except    []string // and who is not, beside

	Payload    Payload // ["event", arg…]
	Published  bool    // with OpEmit: it is a publication, whose last argument is its meta
	Retain     bool    // and its room's last value
	Keep       *Keep   // what a [SharedRooms] keeps of it, for the sender's own adapter
	Volatile   bool
	NoCompress bool // as in [Message]
	Room       string
	Reason     string

	CloseConn bool
	Timeout   time.Duration

	ordered *ordered // what the hub that asks keeps with it, while a [Sequencer] gives it its place
}

// Unnamed is what a node is called that does not say its name: one of Node.js, with some adapters.
const Unnamed = "?"

// NodeReply is a part of a node's answer to a [NodeRequest].
type NodeReply struct {
	Node     string     // [Unnamed] if it is not known
	Asked    int        // how many clients were asked, told once all of them are
	Answers  []Answer   // what they said, or the node itself, as it comes
	Missing  []string   // sessions that did not answer in time
	Sessions []Snapshot // they have no methods until a hub has taken them
	Rooms    []string
	Done     bool // nothing follows from that node
	Last     bool // nor from any other: no node is waited for any more
}

// elsewhere asks the other nodes to do what t does here. With g, it collects their replies until it is closed.
func (t Target) elsewhere(g *gather, r *NodeRequest) {
	if !t.spreads() {
		return
	}
	t.address(r)
	t.ns.hub.request(g, r)
}

// address makes r a request for those addressed by t.
func (t Target) address(r *NodeRequest) {
	r.Namespace, r.Rooms, r.Except, r.Timeout = t.ns.name, t.rooms, t.except, t.patience()
	r.Volatile, r.NoCompress = t.volatile, t.plain
	if t.skip != nil {
		r.Except = append(slices.Clip(r.Except), t.skip.id)
	}
}

// request sends r to the other nodes and has g, if there is one, collect what they reply until it is closed. g is not
// complete yet: whoever asks has a step to end.
func (h *Hub) request(g *gather, r *NodeRequest) {
	var reply func(NodeReply)
	if g != nil {
		reply = g.reply
		g.mu.Lock()
		g.elsewhere = true
		g.mu.Unlock()
	}
	cancel, err := h.opts.Adapter.Send(r, reply)
	if err != nil {
		h.Count("adapter_failed")
		h.log.Warn("other nodes could not be reached", "error", err)
	}
	if g != nil {
		g.mu.Lock()
		g.cancel = cancel
		g.elsewhere = g.elsewhere && cancel != nil
		g.mu.Unlock()
	}
}

// spreads reports whether there are other nodes that t is for.
func (t Target) spreads() bool { return t.ns.hub.opts.Adapter != nil && !t.local }

// Local restricts the target to this node.
func (t Target) Local() Target {
	t.local = true
	return t
}

// node is what an adapter sees of a hub.
type node struct{ hub *Hub }

func (n node) Name() string                       { return n.hub.opts.Node }
func (n node) Namespaces() []*Namespace           { return n.hub.Namespaces() }
func (n node) Namespace(name string) *Namespace   { return n.hub.lookup(name) }
func (n node) Observe(o Observer) (cancel func()) { return n.hub.Observe(o) }
func (n node) Announce()                          { n.hub.announce.again() }
func (n node) Count(reason string)                { n.hub.Count(reason) }
func (n node) Logger() *slog.Logger               { return n.hub.log }

// KeepsFor implements [Node].
func (n node) KeepsFor() time.Duration {
	if rec := n.hub.opts.Recovery; rec != nil {
		return rec.MaxDisconnection
	}
	return 0
}

// Serve implements [Node].
func (n node) Serve(r *NodeRequest, reply func(NodeReply)) {
	h := n.hub
	ns := h.lookup(r.Namespace)
	if ns == nil {
		if reply != nil {
			reply(NodeReply{Node: n.Name(), Done: true})
		}
		return
	}
	t := Target{
		ns: ns, rooms: r.Rooms, except: r.Except, volatile: r.Volatile, plain: r.NoCompress, local: true, within: r.Timeout,
	}
	switch r.Op {
	case OpEmit:
		if event, err := r.Payload.event(); err == nil {
			m := t.message(event, r.Payload)
			switch m.Foreign = r.Published; {
			case r.Published:
				ns.foreign(t, m, r.Retain)
			case event == presenceEvent && len(r.Rooms) == 1 && h.shared != nil:
				ns.foreignPresence(t, r.Rooms[0], m)
			default:
				t.send(m)
			}
		}
	case OpJoin:
		_ = t.Join(r.Room) // it was checked where it comes from
	case OpLeave:
		t.Leave(r.Room)
	case OpDisconnect:
		t.disconnect(r.Reason, r.CloseConn)
	case OpAsk:
		if event, err := r.Payload.event(); err == nil {
			n.gather(t.patience(), reply, func(g *gather) { t.question(g, event, r.Payload) })
			return
		}
	case OpSessions:
		n.gather(t.patience(), reply, func(g *gather) { t.roll(g) })
		return
	case OpServer:
		ns.serve(r.Payload, reply)
		return
	case OpRooms:
		if reply != nil {
			reply(NodeReply{Node: n.Name(), Rooms: ns.roomsHere(), Done: true})
			return
		}
	}
	if reply != nil {
		reply(NodeReply{Node: n.Name(), Done: true})
	}
}

// silentFor is how long after its time an answer comes that lacks the sessions of a loop: it cannot say so, and must not come
// in time.
const silentFor = time.Second

// gather has start ask, and replies what is answered until the time is over.
func (n node) gather(within time.Duration, reply func(NodeReply), start func(*gather)) {
	if reply == nil {
		return
	}
	g := newGather(n.hub, nil)
	g.sink = reply
	end := sync.OnceFunc(func() {
		missing, _ := g.close()
		reply(NodeReply{Node: n.Name(), Missing: missing, Sessions: g.sessions, Done: true})
	})
	timer := time.AfterFunc(within, func() {
		if g.onItsWay() {
			time.AfterFunc(silentFor, end)
			return
		}
		end()
	})
	g.over = func() { timer.Reset(0) } // it is under a lock there
	start(g)
}

// spread has the other nodes send a publication that this one has sequenced. They give it a place of their own in
// their room. With once, the publisher's own id for it was claimed.
func (h *Hub) spread(ns *Namespace, m *Message, p *Publication, once string) {
	h.request(nil, h.publication(ns, m, p, once, nil))
}

// publication is the request for one that has its number.
func (h *Hub) publication(ns *Namespace, m *Message, p *Publication, once string, own *ordered) *NodeRequest {
	r := &NodeRequest{
		Op: OpEmit, Namespace: ns.name, Rooms: []string{p.Room}, Except: p.leftOut(), Payload: m.Payload, Published: true,
		Retain: p.Retain, Volatile: m.Volatile, NoCompress: m.NoCompress, ordered: own,
	}
	if h.shared != nil {
		r.Keep = h.keepOf(m, p, once)
	}
	return r
}

// keepOf is what all nodes keep of a publication, nil for nothing.
func (h *Hub) keepOf(m *Message, p *Publication, once string) *Keep {
	k := Keep{ID: m.ID, Epoch: h.epoch, Seq: m.Seq, Room: p.Room, History: !m.Volatile && h.opts.HistoryMessages > 0, Once: once, Window: h.opts.DedupWindow}
	k.Limits = HistoryLimits{
		Messages: h.opts.HistoryMessages, Bytes: h.opts.HistoryBytes, TTL: h.opts.HistoryTTL, RetainedTTL: max(0, h.opts.RetainedTTL),
	}
	if p.Retain {
		k.Forget = m.saysNothing()
		k.Retain = !k.Forget
	}
	if !k.History && !p.Retain && once == "" {
		return nil
	}
	return &k
}
