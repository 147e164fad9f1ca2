package hub

import (
	"container/list"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Recovery lets clients come back to their sessions: after a broken connection a client gets what it has
// missed, and keeps its session's id, rooms and Data. Socket.IO calls it connection state recovery. Zero
// values mean the defaults given.
//
// With it every event that is neither volatile nor wants an ack carries an offset as its last argument, by
// which the client says where it was. What clients may have missed is kept in memory, per namespace, bounded
// by MaxMessages, MaxBytes and time; a client that has missed something that is gone gets a new session.
type Recovery struct {
	// MaxDisconnection is how long a session waits for its client. Default 2 minutes.
	MaxDisconnection time.Duration
	// DecodeData makes [Session.Data] of its JSON, for sessions that come from another node (see [Sequencer]). Default:
	// what encoding/json makes of it, and binary values.
	DecodeData func(data []byte) (any, error)
	// RunMiddlewares has the namespace's middlewares decide on recovered sessions too. By default they are
	// let in because they were before.
	RunMiddlewares bool
	// MaxMessages and MaxBytes bound the messages that a namespace keeps; the oldest go first. Bytes are
	// counted with their encoding and overhead, roughly. Defaults 32 768, 32 MiB.
	MaxMessages int
	MaxBytes    int
	// MaxSessions bounds the sessions of a namespace that wait for their clients; the longest away goes
	// first. Default 10 000.
	MaxSessions int
}

func (r Recovery) withDefaults() *Recovery {
	if r.MaxDisconnection <= 0 {
		r.MaxDisconnection = 2 * time.Minute
	}
	if r.MaxMessages <= 0 {
		r.MaxMessages = 32 << 10
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = 32 << 20
	}
	if r.MaxSessions <= 0 {
		r.MaxSessions = 10_000
	}
	return &r
}

const (
	// recoveryTail is how much longer than a session a message is kept: it may have been sent a while before
	// the server noticed that nobody was there, which takes a heartbeat's time.
	recoveryTail = 2 * time.Minute
	// recoveryLull is a silence after which the message in front of it is remembered, see [ticket].
	recoveryLull = time.Minute
	// recoveryWait is how long a client that is back waits for the end of its earlier session's handler.
	recoveryWait = 5 * time.Second
)

// recovery is what a namespace remembers for clients that come back. It is also the sequencer of
// everything sent in the namespace, so that all clients get messages in the order of the log: an offset
// then says what a client has.
//
// mu is taken before the locks of the hub, of the namespace and of its rooms.
type recovery struct {
	ns    *Namespace
	opts  *Recovery
	epoch string        // in front of every offset, so that a text of the application is none
	seq   atomic.Uint64 // of the newest message; changed with mu held

	// With a [Sequencer], epoch is not used: offsets are places in the order of all nodes, while the sequence numbers stay
	// what this node works with.
	shared Sequencer
	savers []saver  // by loop, and that loop's own
	done   []uint64 // by loop, and that loop's own: the newest message that has arrived there

	mu        sync.Mutex
	early     int      // messages in the log that this node has delivered ahead of their places
	turn      uint64   // counts claims, and sessions saved anew
	unsettled []*spot  // those of them whose places are not known
	posted    []uint64 // by loop: the newest message on its way there
	log       *memoryLog
	tickets   map[string]*ticket // by the client's secret: of connected sessions, and of those away
	away      list.List          // of *ticket, longest away first
}

func newRecovery(ns *Namespace) *recovery {
	o := ns.hub.opts.Recovery
	loops := len(ns.hub.loops.All())
	rec := &recovery{
		ns: ns, opts: o, epoch: NewID()[:4],
		done: make([]uint64, loops), posted: make([]uint64, loops),
		tickets: make(map[string]*ticket),
		log: &memoryLog{
			maxMessages: o.MaxMessages, maxBytes: o.MaxBytes, maxAge: o.MaxDisconnection + recoveryTail,
			count: ns.hub.Count,
		},
	}
	if rec.shared = ns.hub.sequencer; rec.shared != nil {
		rec.savers = make([]saver, loops)
		rec.seq.Store(beforeAll)
		ns.hub.order.mu.Lock()
		rec.log.gone = ns.hub.order.begun
		ns.hub.order.mu.Unlock()
		rec.log.dropped = rec.dropped
	}
	return rec
}

// position is a place in the order in which one client gets its messages. A message to rooms has its
// sequence number as major and no minor. What a session emits to its own client leaves at once, past
// messages that are still on their way to the loop: its major is the newest that had arrived, its minor
// its own sequence number.
type position struct{ major, minor uint64 }

func (p position) less(q position) bool {
	return p.major < q.major || p.major == q.major && p.minor < q.minor
}

// seq is the sequence number in front of which nothing matters to a client that waits for p.
func (p position) seq() uint64 {
	if p.minor == 0 {
		return p.major - 1
	}
	return p.major
}

// offset is how clients get to know a position.
func (rec *recovery) offset(p position) string {
	b := make([]byte, 0, 32)
	b = append(b, rec.epoch...)
	b = strconv.AppendUint(b, p.major, 36)
	if p.minor > 0 {
		b = strconv.AppendUint(append(b, '.'), p.minor, 36)
	}
	return string(b)
}

// position reads an offset. It is a client's word: ok only says that such a position can exist.
func (rec *recovery) position(offset string) (p position, ok bool) {
	text, ok := strings.CutPrefix(offset, rec.epoch)
	if !ok {
		return p, false
	}
	major, minor, direct := strings.Cut(text, ".")
	var err error
	if p.major, err = strconv.ParseUint(major, 36, 64); err != nil {
		return p, false
	}
	if direct {
		if p.minor, err = strconv.ParseUint(minor, 36, 64); err != nil || p.minor <= p.major {
			return p, false
		}
	}
	return p, p != position{} && max(p.major, p.minor) <= rec.seq.Load()
}

// send is [Target.send] for a namespace with recovery. The sequence number is taken before rooms are
// looked up: a session that joins meanwhile then either is found, or has joined behind the message, which
// is the same for what it gets now and for what it has missed later.
func (rec *recovery) send(t Target, m *Message) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	d := rec.begin(t.delivery())
	switch {
	case len(t.rooms) == 0:
		rec.ns.all.emit(m, d)
		return
	case len(t.rooms) == 1 && rec.ns.Session(t.rooms[0]) == nil:
		if r := rec.ns.lookupRoom(t.rooms[0]); r != nil {
			r.emit(m, d)
			return
		}
		if rec.ns.prefixes.match(t.rooms[0]) != nil && t.ask == nil {
			rec.ns.emitAway(t.rooms[0], m, d)
			return
		}
	}
	t.sendMany(m, d)
}

// begin gives a delivery its sequence number. mu is held until it was posted.
func (rec *recovery) begin(d *delivery) *delivery {
	d.recovery, d.seq = rec, rec.seq.Add(1)
	return d
}

// frame makes the frame of a delivery's message, with its offset, and keeps it; or one without, when it is
// not to be recovered. ids and rooms are those addressed; neither means everybody. mu is held.
func (rec *recovery) frame(d *delivery, m *Message, ids, rooms []string) *Frame {
	if m.Volatile || m.Ack != NoAck || rec.shared != nil && d.entry == nil {
		return MessageFrame(m)
	}
	pos := position{major: d.seq}
	own := *m // taps and history have m as it is
	own.place = d.seq
	e := logged{pos: pos, seq: d.seq, ids: ids, rooms: rooms, except: d.except, at: rec.ns.hub.now()}
	if d.entry != nil {
		e.spot = rec.spotOf(d.entry)
		own.offset = &e.spot.Offset
		own.Payload = m.Payload.with(own.offset.String())
	} else {
		own.Payload = m.Payload.with(rec.offset(pos))
	}
	f := MessageFrame(&own)
	e.frame = f
	if d.skip != nil {
		e.skip = d.skip.id
	}
	rec.log.add(e)
	return f
}

// direct makes the frame of what s emits to its own client, and keeps it. On s's loop.
func (rec *recovery) direct(s *Session, m *Message) *Frame {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	pos := position{rec.arrived(s), rec.seq.Add(1)}
	m.Payload = m.Payload.with(rec.offset(pos))
	f := MessageFrame(m)
	rec.log.add(logged{pos: pos, seq: pos.minor, frame: f, ids: []string{s.id}, at: rec.ns.hub.now()})
	s.ticket.sent(pos, nil, s.loop.Now())
	return f
}

// arrived is the newest message of which s would have been given, as all before it. On s's loop, mu held.
func (rec *recovery) arrived(s *Session) uint64 {
	l := s.loop.ID()
	if rec.done[l] == rec.posted[l] { // nothing is on its way here
		rec.done[l] = rec.seq.Load()
		rec.posted[l] = rec.done[l]
	}
	return max(s.ticket.base, rec.done[l], s.ticket.last.major) // a listener may emit while one is being delivered
}
