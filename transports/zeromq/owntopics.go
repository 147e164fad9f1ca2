package zeromq

import (
	"strings"
	"sync"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// The topics of the bridge's own. Their messages are [topic, JSON object], whatever the style. No room is called like
// that, and only who asks for one of them, or for "$", hears it: a subscription to "" does not.
const (
	topicHeartbeat = "$hb"     // {epoch, sent, at}: every Options.PubHeartbeat
	topicRoom      = "$room"   // {event: "created" | "emptied" | "members", nsp, room, members, joined?, left?}
	topicDemand    = "$demand" // {topic, wanted}: the first subscription to a topic, the end of the last
)

func ownTopic(topic string) bool { return strings.HasPrefix(topic, "$") }

// roomPause gathers the joins and leaves of a room: one that thousands enter at once is told in few messages.
const roomPause = time.Second

// ownTopics makes the messages of those topics. What nobody asks for is not watched. run is its one goroutine, from
// start to stop.
type ownTopics struct {
	egress  *egress
	quit    chan struct{}
	ended   chan struct{}
	stopped sync.Once

	watching sync.Mutex // held while watch changes
	watch    func()     // ends the watch of members; nil while nobody wants to know

	mu    sync.Mutex
	rooms map[roomName]*roomChange // with members that have joined or left since they were told
}

type roomName struct{ namespace, room string }

type roomChange struct{ members, joined, left int }

func newOwnTopics(e *egress) *ownTopics {
	return &ownTopics{egress: e, quit: make(chan struct{}), ended: make(chan struct{}), rooms: make(map[roomName]*roomChange)}
}

func (o *ownTopics) start() { go o.run() }

// stop ends run, and what it watches. Only what was started is stopped. Idempotent.
func (o *ownTopics) stop() {
	o.stopped.Do(func() {
		close(o.quit)
		<-o.ended
		o.changed(topicRoom)
	})
}

func (o *ownTopics) run() {
	defer close(o.ended)
	var beat <-chan time.Time
	if every := o.egress.bridge.opts.PubHeartbeat; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beat = t.C
	}
	rooms := time.NewTicker(roomPause)
	defer rooms.Stop()
	for {
		select {
		case <-beat:
			o.beat()
		case <-rooms.C:
			o.tellRooms()
		case <-o.quit:
			return
		}
	}
}

// publish sends an object to who has asked for its topic and may read the room it is about, if it is about one.
func (o *ownTopics) publish(topic, namespace, room string, object any) {
	s := scratches.Get().(*scratch)
	defer s.giveBack()
	s.subs = o.egress.topics.match(s.subs[:0], topic)
	if len(s.subs) == 0 {
		return
	}
	p, err := hub.EncodeArgs("", object)
	if err == nil {
		parts, split := p.Split()
		if err = split; err == nil {
			s.wire = guard.AppendStringFrame(s.wire[:0], topic, true)
			s.wire = guard.AppendFrame(s.wire, parts[1], false)
		}
	}
	if err != nil {
		o.egress.bridge.refused(reasonOutgoing, "a message cannot be sent", "topic", topic, "error", err)
		return
	}
	o.egress.send(s.subs, namespace, room, s.wire)
}

// heartbeat is what $hb says.
type heartbeat struct {
	Epoch string `json:"epoch"`
	Sent  uint64 `json:"sent"` // messages of rooms since the bridge has begun, for whichever subscribers
	At    int64  `json:"at"`   // milliseconds since 1970
}

func (o *ownTopics) beat() {
	o.publish(topicHeartbeat, "", "", heartbeat{o.egress.epoch, o.egress.sent.Load(), time.Now().UnixMilli()})
}

// demand tells that somebody has subscribed to a topic, or nobody is any more.
func (o *ownTopics) demand(topic string, wanted bool) {
	if ownTopic(topic) {
		return
	}
	namespace, room := splitTopic(topic, "/")
	o.publish(topicDemand, namespace, room, struct {
		Topic  string `json:"topic"`
		Wanted bool   `json:"wanted"`
	}{topic, wanted})
}

// changed is called when a subscription has come or gone: members are watched while somebody wants to know.
func (o *ownTopics) changed(topic string) {
	h, ok := o.egress.bridge.hub.(interface {
		WatchMembers(func(namespace, room string, members int, joined bool)) (cancel func())
	})
	if !ok || !strings.HasPrefix(topicRoom, topic) || topic == "" {
		return
	}
	o.watching.Lock()
	defer o.watching.Unlock()
	wanted := len(o.egress.topics.match(nil, topicRoom)) > 0
	select {
	case <-o.quit:
		wanted = false
	default:
	}
	switch {
	case wanted && o.watch == nil:
		o.watch = h.WatchMembers(o.member)
	case !wanted && o.watch != nil:
		o.watch()
		o.watch = nil
		o.mu.Lock()
		clear(o.rooms)
		o.mu.Unlock()
	}
}

// roomEvent is what $room says.
type roomEvent struct {
	Event     string `json:"event"`
	Namespace string `json:"nsp"`
	Room      string `json:"room"`
	Members   int    `json:"members"`
	Joined    int    `json:"joined,omitempty"`
	Left      int    `json:"left,omitempty"`
}

// member notes a join or leave. The room is locked.
func (o *ownTopics) member(namespace, room string, members int, joined bool) {
	name := roomName{namespace, room}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case joined && members == 1:
		delete(o.rooms, name)
		o.tellRoom(name, "created", roomChange{members: 1, joined: 1})
		return
	case members == 0:
		c := o.rooms[name]
		if c == nil {
			c = &roomChange{}
		}
		delete(o.rooms, name)
		o.tellRoom(name, "emptied", roomChange{joined: c.joined, left: c.left + 1})
		return
	}
	c := o.rooms[name]
	if c == nil {
		c = &roomChange{}
		o.rooms[name] = c
	}
	c.members = members
	if joined {
		c.joined++
	} else {
		c.left++
	}
}

// tellRooms tells what has gathered. mu is held meanwhile, so that what a room is told of keeps its order.
func (o *ownTopics) tellRooms() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, c := range o.rooms {
		o.tellRoom(name, "members", *c)
	}
	clear(o.rooms)
}

// tellRoom sends one message. mu is held.
func (o *ownTopics) tellRoom(name roomName, event string, c roomChange) {
	o.publish(topicRoom, name.namespace, name.room, roomEvent{event, name.namespace, name.room, c.members, c.joined, c.left})
}
