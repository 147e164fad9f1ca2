package redis

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// sharded speaks the format of @socket.io/redis-adapter's createShardedAdapter. Each namespace has a channel for what
// concerns all nodes, one for answers to this node and, unless the mode is static, one for each room that somebody
// here hears: what is sent to a room then reaches the nodes that hear it, and costs the others nothing.
//
// Locks: the hub tells of demand with its own held, so mu and those behind it are taken inside them, and the hub is never
// called with one held.
type sharded struct {
	prefix string
	mode   Mode
	kind   subKind       // of its channels
	packed bool          // all messages are msgpack
	linger time.Duration // how long a room that nobody hears any more stays subscribed
	node   hub.Node
	link   *link
	rooms  *roomStore
	cancel []func()
	quit   chan struct{}
	ended  chan struct{}

	looking sync.Mutex // held while namespaces are compared with those of the hub
	mu      sync.RWMutex
	spaces  map[string]*shardSpace
	routes  map[string]*route         // by channel
	leaving []departure               // routes that nobody wants, in the order of time; some have been taken up again
	idle    int                       // of them, those that nobody wants still
	wants   map[string]map[string]int // namespace → prefix → how often it is wanted here; "" is all namespaces
	dirty   map[*shardSpace]bool      // others have to be told what is wanted
	wake    chan struct{}             // there are some
	closed  bool

	questions questions
	serving   serving
}

// shardSpace is a namespace as others know it.
type shardSpace struct {
	name, uid         string
	channel, personal string
	ownText, ownPack  []byte // how messages of this node end

	foreign foreignDemand
}

// route is what a channel is for.
type route struct {
	space    *shardSpace // of a channel that is no room's
	rooms    []string    // the one room, as it is addressed
	live     bool        // it has members here
	sessions int         // or sessions are called so
	wants    int         // or are heard from outside
	until    time.Time   // how long it stays when there is none
}

func (r *route) wanted() bool { return r.space != nil || r.live || r.sessions > 0 || r.wants > 0 }

// departure is a route that will be given up.
type departure struct {
	channel string
	until   time.Time
}

// reasonRoomsLeft counts rooms that were given up early because too many were.
const reasonRoomsLeft = "redis_rooms_left"

const (
	roomLinger  = 5 * time.Second // a room that is entered and left again and again is subscribed once
	maxLeaving  = 10_000          // rooms that stay for that long
	shardedTick = time.Second
)

func newSharded(o Options) *sharded {
	return &sharded{
		prefix: o.Prefix + "#", mode: o.Mode, kind: subShard, linger: roomLinger, quit: make(chan struct{}), ended: make(chan struct{}),
		spaces: make(map[string]*shardSpace), routes: make(map[string]*route), wants: make(map[string]map[string]int),
		dirty: make(map[*shardSpace]bool), wake: make(chan struct{}, 1),
	}
}

// join implements [driver].
func (s *sharded) join(a *Adapter, node hub.Node) error {
	s.node, s.link, s.rooms = node, a.link, a.rooms
	s.rooms.slot = func(namespace, room string) string { // that of the message which a script publishes
		if s.apart(room) {
			return s.roomChannel(namespace, room)
		}
		return s.prefix + namespace + "#"
	}
	s.linger += node.KeepsFor() // clients that come back were there all the time
	look := func(ns *hub.Namespace) { s.look(ns.Name()) }
	s.cancel = append(s.cancel, node.Observe(hub.Observer{NamespaceCreated: look, NamespaceDeleted: look}))
	for _, ns := range node.Namespaces() {
		s.look(ns.Name())
	}
	if s.mode != Static {
		d := hub.Demand{Room: s.roomLive, Prefix: s.prefixWanted, Session: s.sessionThere}
		s.cancel = append(s.cancel, node.WatchDemand(d))
	}
	go s.run()
	return nil
}

// close implements [driver].
func (s *sharded) close() error {
	for _, cancel := range s.cancel {
		cancel()
	}
	close(s.quit)
	<-s.ended
	s.mu.Lock()
	s.closed = true
	for channel := range s.routes {
		s.link.unsubscribe(s.kind, channel)
	}
	clear(s.routes)
	clear(s.spaces)
	s.mu.Unlock()
	s.questions.close()
	return nil
}

// run does what has its time.
func (s *sharded) run() {
	defer close(s.ended)
	tick := time.NewTicker(shardedTick)
	defer tick.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	wake := s.wake
	ticks := 0
	for {
		select {
		case <-s.quit:
			return
		case <-wake:
			s.announceDirty()
			wake = nil
			gap.Reset(demandGap)
		case <-gap.C:
			wake = s.wake
		case now := <-tick.C:
			s.mu.Lock()
			s.depart(now)
			s.mu.Unlock()
			if ticks++; ticks%int(demandEvery/shardedTick) == 0 {
				s.announceAll()
			}
			s.expireDemand(now)
		}
	}
}

// look makes this node hear others about a namespace if there is one of that name, and only then. Events of the hub may
// overtake each other: it is what exists that counts.
func (s *sharded) look(name string) *shardSpace {
	s.looking.Lock()
	defer s.looking.Unlock()
	exists := s.node.Namespace(name) != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spaces[name]
	switch {
	case s.closed:
		return nil
	case exists && sp == nil:
		return s.enter(name)
	case !exists && sp != nil:
		delete(s.spaces, name)
		for _, channel := range [2]string{sp.channel, sp.personal} {
			delete(s.routes, channel)
			s.link.unsubscribe(s.kind, channel)
		}
		return nil
	}
	return sp
}

// enter subscribes. Under s.mu.
func (s *sharded) enter(name string) *shardSpace {
	if strings.Contains(name, "#") {
		// Its channel is also that of a room of another namespace.
		s.node.Count(reasonNamespace)
		s.node.Logger().Warn(`redis: a namespace with "#" in its name stays alone on its node`, "namespace", name)
		return nil
	}
	sp := &shardSpace{name: name, uid: uid16(), channel: s.prefix + name + "#"}
	sp.personal = sp.channel + sp.uid + "#"
	own := message{uid: sp.uid, nsp: name}
	sp.ownText, sp.ownPack = own.appendEnd([]byte{'}'}), own.appendEndMsgpack(nil)
	s.spaces[name] = sp
	s.routes[sp.channel] = &route{space: sp}
	s.routes[sp.personal] = &route{space: sp}
	s.link.subscribe(s.kind, sp.personal, sp.channel)
	if s.mode != Static {
		s.link.subscribed(s.kind, sp.personal, func() { // now the answers come
			s.publish(sp, sp.channel, &message{kind: msgDemandAsked})
		})
		if len(s.wanted(sp)) > 0 {
			s.announce(sp, sp.channel)
		}
	}
	return sp
}

func (s *sharded) space(name string) *shardSpace {
	s.mu.RLock()
	sp := s.spaces[name]
	s.mu.RUnlock()
	if sp == nil {
		return s.look(name) // its creation may be on the way to us
	}
	return sp
}

// apart reports whether what is sent to a room has a channel of its own. Node.js decides by the room's name too, so
// that sender and receiver agree: in mode dynamic, twenty characters are a client's id. They are counted as JavaScript
// does it.
func (s *sharded) apart(room string) bool {
	switch {
	case s.mode == Static, room == "":
		return false
	case room[0] == '$' && !strings.HasPrefix(room, "$user:"):
		return false // rooms of the hub's own, which come and go with others
	case s.mode == DynamicPrivate:
		return true
	}
	return !twentyCharacters(room)
}

func twentyCharacters(s string) bool {
	if len(s) < 20 || len(s) > 60 {
		return false
	}
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n == 20
}

func (s *sharded) roomChannel(namespace, room string) string {
	return s.prefix + namespace + "#" + room + "#"
}

// roomLive is told which rooms have members here. The room is locked.
func (s *sharded) roomLive(namespace, room string, live bool) {
	if s.apart(room) {
		s.change(namespace, room, func(r *route) { r.live = live })
	}
}

// sessionThere is told which sessions are here: in mode dynamic-private each one has a channel, in mode dynamic those
// whose ids do not look like ids to Node.js. The namespace is locked.
func (s *sharded) sessionThere(namespace, id string, live bool) {
	if !s.apart(id) {
		return
	}
	s.change(namespace, id, func(r *route) {
		if live {
			r.sessions++
		} else {
			r.sessions--
		}
	})
}

// change notes who hears a room, and subscribes if somebody does. Nobody hears it any more: it is given up a while later.
func (s *sharded) change(namespace, room string, edit func(*route)) {
	if strings.Contains(namespace, "#") {
		return
	}
	channel := s.roomChannel(namespace, room)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	r := s.routes[channel]
	before := r != nil && r.wanted()
	if r == nil {
		r = &route{rooms: []string{room}}
	}
	edit(r)
	switch {
	case r.space != nil: // a room that is called like the channel of an answer
	case s.routes[channel] == nil && r.wanted():
		s.routes[channel] = r
		s.link.subscribe(s.kind, channel)
	case s.routes[channel] != nil && before && !r.wanted():
		s.leave(channel, r)
	case s.routes[channel] != nil && !before && r.wanted() && s.idle > 0:
		s.idle--
	}
}

// leave has a route given up in a while. Under s.mu.
func (s *sharded) leave(channel string, r *route) {
	r.until = time.Now().Add(s.linger)
	s.leaving = append(s.leaving, departure{channel, r.until})
	if s.idle++; s.idle > maxLeaving {
		s.node.Count(reasonRoomsLeft)
		s.depart(time.Time{})
	}
}

// depart gives up what is due, or with a zero time the one that has waited longest. Under s.mu.
func (s *sharded) depart(now time.Time) {
	for len(s.leaving) > 0 {
		d := s.leaving[0]
		if !now.IsZero() && d.until.After(now) {
			return
		}
		s.leaving[0] = departure{}
		s.leaving = s.leaving[1:]
		r := s.routes[d.channel]
		if r == nil || r.wanted() || !r.until.Equal(d.until) {
			continue // somebody has come, and perhaps left again
		}
		delete(s.routes, d.channel)
		s.idle--
		s.link.unsubscribe(s.kind, d.channel)
		if now.IsZero() {
			return
		}
	}
	s.leaving = nil
}

// hear implements [hub.RoomAdapter].
func (s *sharded) hear(namespace, room string, heard func()) {
	sp := s.space(namespace)
	if err := s.link.ready(); sp == nil || err != nil && !errors.Is(err, errSubscribing) {
		heard() // nothing comes while Redis is away
		return
	}
	channel := sp.channel
	if s.apart(room) {
		channel = s.roomChannel(namespace, room)
		s.mu.Lock()
		if !s.closed && s.routes[channel] == nil {
			r := &route{rooms: []string{room}}
			s.routes[channel] = r
			s.link.subscribe(s.kind, channel)
			s.leave(channel, r) // unless somebody comes
		}
		s.mu.Unlock()
	}
	s.link.subscribed(s.kind, channel, heard)
}

// Hear implements [hub.RoomAdapter].
func (a *Adapter) Hear(namespace, room string, heard func()) {
	if s, ok := a.driver.(*sharded); ok {
		s.hear(namespace, room, heard)
		return
	}
	heard()
}

// send implements [driver].
func (s *sharded) send(r *hub.NodeRequest, reply func(hub.NodeReply)) (cancel func() (silent []string), err error) {
	sp := s.space(r.Namespace)
	if sp == nil { // it is gone, or stays alone
		r.Keep.Over(nil)
		return nil, nil
	}
	m := message{uid: sp.uid, nsp: sp.name, payload: r.Payload, opts: addressed{rooms: r.Rooms, except: r.Except, volatile: r.Volatile, plain: r.NoCompress, ours: oursFlag(r)}}
	channel := sp.channel
	switch r.Op {
	case hub.OpEmit:
		m.kind = msgBroadcast
		if len(r.Rooms) == 1 && s.apart(r.Rooms[0]) && !sp.foreign.covers(r.Rooms[0]) {
			channel = s.roomChannel(sp.name, r.Rooms[0])
		}
	case hub.OpAsk:
		m.kind, m.opts.timeout = msgBroadcast, int(max(r.Timeout.Milliseconds(), 1))
	case hub.OpJoin:
		m.kind, m.rooms = msgJoin, []string{r.Room}
	case hub.OpLeave:
		m.kind, m.rooms = msgLeave, []string{r.Room}
	case hub.OpDisconnect:
		m.kind, m.close, m.reason = msgDisconnect, r.CloseConn, r.Reason
	case hub.OpSessions, hub.OpRooms: // Node.js has no question for rooms, but clients say where they are
		m.kind = msgFetch
	case hub.OpServer:
		m.kind, m.ours = msgServerEmit, true
	}
	if r.Op != hub.OpEmit {
		m.opts.ours |= oursSaid
	}
	var q *question
	if reply != nil {
		q = s.questions.ask(r, reply, uid16)
		m.requestID = q.id
	}
	body, err := s.encode(&m)
	if err != nil {
		if q != nil {
			q.cancel()
		}
		return nil, err
	}
	if q == nil {
		s.rooms.publish(s.kind == subShard, channel, body, r)
		return nil, nil
	}
	s.ask(sp, q, r.Timeout, func(id string) ([]byte, error) {
		if id == m.requestID {
			return body, nil
		}
		again := m
		again.requestID = id
		return s.encode(&again)
	})
	return q.cancel, nil
}

// ask publishes a question, once answers to it are heard, and learns how many will come.
func (s *sharded) ask(sp *shardSpace, q *question, within time.Duration, encode func(id string) ([]byte, error)) {
	q.hold(encode)
	s.link.subscribed(s.kind, sp.personal, func() {
		s.link.subscribed(s.kind, sp.channel, func() {
			if encode := q.release(); encode != nil { // somebody waits still
				q.put(s.link, s.kind == subShard, sp.channel, sp.channel, encode, within)
			}
		})
	})
}

// publish sends a message of this node.
func (s *sharded) publish(sp *shardSpace, channel string, m *message) {
	m.uid, m.nsp = sp.uid, sp.name
	body, err := s.encode(m)
	if err != nil {
		s.node.Count(reasonMalformed)
		return
	}
	s.link.publish(s.kind == subShard, channel, body)
}

// encode is a message as it is published.
func (s *sharded) encode(m *message) ([]byte, error) {
	b := make([]byte, 0, m.size())
	if s.packed && len(m.payload.Attachments)+len(m.more.Attachments) == 0 {
		return msgpack.Append(b, m.appendJSON(nil), nil)
	}
	return m.append(b)
}

// message implements [driver].
func (s *sharded) message(channel string, body []byte) {
	s.mu.RLock()
	r := s.routes[channel]
	wanted := r != nil && r.wanted()
	s.mu.RUnlock()
	if !wanted {
		return // nobody is there any more
	}
	if sp := r.space; sp != nil && sp.own(body) {
		return
	}
	m, err := readMessage(body)
	if err == nil {
		err = s.take(r, &m)
	}
	if err != nil {
		s.node.Count(reasonOf(err))
	}
}

// own reports whether a message is this node's: most that a node hears in a busy room with members on it.
func (sp *shardSpace) own(body []byte) bool {
	if bytes.HasPrefix(body, []byte{'{'}) {
		return bytes.HasSuffix(body, sp.ownText)
	}
	return bytes.HasSuffix(body, sp.ownPack)
}

// take does what another node asks for.
func (s *sharded) take(r *route, m *message) error {
	s.mu.RLock()
	sp := s.spaces[m.nsp]
	s.mu.RUnlock()
	if sp == nil || m.uid == sp.uid {
		return nil
	}
	switch m.kind {
	case msgBroadcast:
		if m.requestID != "" {
			break
		}
		rooms := m.opts.rooms
		if len(r.rooms) == 1 && len(rooms) == 1 && r.rooms[0] == rooms[0] {
			rooms = r.rooms // what is there is kept instead of a copy for each message
		}
		if !m.opts.allowed() {
			return errForbidden
		}
		if !s.node.Hears(sp.name, rooms) {
			return nil
		}
		m.keep()
		s.node.Serve(&hub.NodeRequest{
			Op: hub.OpEmit, Namespace: sp.name, Rooms: rooms, Except: m.opts.except, Payload: m.payload,
			Volatile: m.opts.volatile, NoCompress: m.opts.plain, Published: m.opts.ours&oursPublished != 0,
			Retain: m.opts.ours&oursRetain != 0,
		}, nil)
		return nil
	case msgFetched, msgServerEmitted, msgClientCount, msgAck, msgMissing:
		return s.answered(sp, m)
	case msgDemand:
		sp.foreign.set(m.uid, m.prefixes, time.Now().Add(demandExpiry))
		return nil
	case msgDemandAsked:
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.wants[sp.name])+len(s.wants[""]) > 0 {
			s.tellSoon(sp) // to all: however many ask, it is told once in a while
		}
		return nil
	}
	return s.serve(sp, m)
}
