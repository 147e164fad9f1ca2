package hub

import (
	"sync/atomic"
	"time"
)

// sharedPatience is how long is waited for what nodes share. Who waits longer is answered from what this node has.
const sharedPatience = 2 * time.Second

// SharedRooms is an [Adapter] that keeps for all nodes what rooms have beside members: publications, a list of who is
// there, and the ids that publishers have used. What it is to keep comes with the requests that it sends, see [Keep].
// Its methods return at once and call done once, from any goroutine and perhaps before they return; the hub waits for
// two seconds.
type SharedRooms interface {
	Adapter
	// ReadRoom reads what is kept of a room. What this node has sent before it called ReadRoom is in it, unless that failed.
	ReadRoom(namespace, room string, q RoomQuery, done func(RoomView, error))
	// ReadRetained reads what is retained in several rooms. Rooms may be in what it gives that retain nothing any more.
	ReadRetained(namespace string, q RetainedQuery, done func([]RetainedRoom, error))
	// Claim reserves an id that a publisher has given its publication in a room. It is fresh when nobody has claimed it
	// within window; else first is the publication's own id, "" while that one is under way. A claim that no publication
	// follows ([Keep.Once]) is over after a few seconds.
	Claim(namespace, room, id string, window time.Duration, done func(first string, fresh bool, err error))
	// Renew forgets who is said to be here on this node, and calls [Node.Announce].
	Renew()
}

// Keep is what a [SharedRooms] keeps of a request that it sends to the other nodes, in one step with sending it: who
// reads the room afterwards has it, and who was subscribed when it was read before gets it as a message.
type Keep struct {
	Room string // of the request's namespace

	// Of a publication, whose payload is the request's:
	ID      string
	Epoch   string // whose count is
	Seq     uint64 // its number in the room
	History bool   // append it to the room's history, within Limits
	Limits  HistoryLimits
	Retain  bool          // it is the room's retained value from now on
	Forget  bool          // the room has none from now on
	Once    string        // the id that was claimed for it, which is answered by ID from now on: unless it is another one's, and nothing is done
	Window  time.Duration // for how long it is

	// Of a change of who is there:
	Joined, Left []*Sender

	// Done is called once, if it is not nil, from any goroutine: an error says that it may not be kept.
	Done func(error)
}

// Over calls Done, if there is one.
func (k *Keep) Over(err error) {
	if k != nil && k.Done != nil {
		k.Done(err)
	}
}

// HistoryLimits are the [Options] of the same names, and how long what is kept of a room stays when nothing is added.
type HistoryLimits struct {
	Messages, Bytes int
	TTL             time.Duration
	RetainedTTL     time.Duration // 0: for ever
}

// RoomQuery says what is to be read of a room.
type RoomQuery struct {
	History  int  // so many of the newest publications, and Last
	Members  int  // so many of those who are there, by name
	Retained bool // and the retained publication, and Last
}

// RoomView is what nodes share of a room.
type RoomView struct {
	History  []KeptPublication // oldest first
	Members  []Present         // by name, then by id
	Count    int               // of those who are there
	Retained *KeptPublication
	Ended    bool // there is none, because what was retained was ended not long ago
	// Last is, by epoch, the number of the last publication that was kept in the room. It may have been kept elsewhere
	// than in History.
	Last map[string]uint64
}

// KeptPublication is a publication as it was sent to other nodes: its payload ends with its meta. One without an ID
// stands for publications that could not be kept.
type KeptPublication struct {
	ID      string
	Payload Payload
}

// Present is somebody who is in a room, on some node.
type Present struct {
	Sender
	Node string
}

// shownNode is what those who are here say of this node: its name, where there are others.
func (h *Hub) shownNode() string {
	if h.shared == nil {
		return ""
	}
	return h.opts.Node
}

// await parks or blocks the caller until start has called over, at most for [sharedPatience]. A callback on a loop
// cannot wait: [coop.ErrNotRunning].
func (h *Hub) await(start func(over func())) error {
	m, err := h.newMeeting()
	if err != nil {
		return err
	}
	start(m.over)
	return m.waitParts(sharedPatience)
}

// sharedRead is what is read of a room, while it may still come.
type sharedRead struct {
	h               *Hub
	namespace, room string
	query           RoomQuery
	view            atomic.Pointer[RoomView]
}

// start reads the room once this node hears it: what is published from then on either is read or comes as a message.
func (r *sharedRead) start(over func()) {
	read := func() {
		if r.query == (RoomQuery{}) {
			over()
			return
		}
		r.h.shared.ReadRoom(r.namespace, r.room, r.query, func(v RoomView, err error) {
			if err != nil {
				r.h.Count("shared_read_failed")
			} else {
				r.view.Store(&v)
			}
			over()
		})
	}
	names := []string{r.room}
	if r.query.Members > 0 {
		names = append(names, presenceRoom(r.room))
	}
	r.h.hear(r.namespace, names, read)
}

// hear calls fn once this node hears rooms of others.
func (h *Hub) hear(namespace string, rooms []string, fn func()) {
	if h.rooms == nil {
		fn()
		return
	}
	var left atomic.Int32
	left.Store(int32(len(rooms)))
	for _, room := range rooms {
		h.rooms.Hear(namespace, room, func() {
			if left.Add(-1) == 0 {
				fn()
			}
		})
	}
}

// hold keeps a room while something about it is read, also when nobody is in it, so that it takes what comes meanwhile.
type hold struct{ room *Room }

func (ns *Namespace) hold(name string) *hold {
	r := ns.lockRoom(name)
	defer r.mu.Unlock()
	r.holds++
	return &hold{r}
}

// releaseLocked ends it, with the room's lock held, and returns what the caller gives to [Namespace.drop] without it.
func (d *hold) releaseLocked() (over []*Room) {
	r := d.room
	if r.holds--; r.holds == 0 {
		r.updates = nil
	}
	return r.emptiedLocked(r.ns.hub.now())
}

func (d *hold) release() {
	d.room.mu.Lock()
	over := d.releaseLocked()
	d.room.mu.Unlock()
	d.room.ns.drop(over)
}

// readNow reads a room for a caller that can wait, and calls fn with the room's lock held; view is nil when nothing
// could be read.
func (ns *Namespace) readNow(room string, q RoomQuery, fn func(r *Room, view *RoomView)) {
	d := ns.hold(room)
	read := &sharedRead{h: ns.hub, namespace: ns.name, room: room, query: q}
	_ = ns.hub.await(read.start) // without an answer there is no view
	d.room.mu.Lock()
	fn(d.room, read.view.Load())
	over := d.releaseLocked()
	d.room.mu.Unlock()
	ns.drop(over)
}

// PresenceRequest tells watchers on another node, or on this one by [Node.Serve], that some have left a room: an adapter
// sends it for a node that cannot do it itself any more.
func PresenceRequest(namespace, room string, left []*Sender) (*NodeRequest, error) {
	p, err := EncodeArgs(presenceEvent, presenceChange{room, []*Sender{}, left})
	if err != nil {
		return nil, err
	}
	return &NodeRequest{Op: OpEmit, Namespace: namespace, Rooms: []string{presenceRoom(room)}, Payload: p}, nil
}
