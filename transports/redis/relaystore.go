package redis

import (
	_ "embed"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// What the store counts by.
const (
	reasonUnkept     = "redis_unkept"     // a publication, or a change of who is there, was sent and not kept
	reasonUnreadable = "redis_unreadable" // something in a key of ours that we have not written
	reasonNamesFull  = "redis_names_full" // too many rooms retain something: one of them is not found by its prefix
	reasonPublished  = "redis_published"  // another node has published it while this one could not
)

// roomStore keeps what rooms have for all nodes, see [hub.SharedRooms]: in Redis, beside the messages that a [Kind] sends,
// which it knows nothing of. Its keys begin with the prefix and ":greenroom:".
//
//	h:{…}NAMESPACE,ROOM    list: the history, each entry as [appendEntry] writes it; an empty one is a gap
//	b:{…}NAMESPACE,ROOM    how many bytes that is
//	r:{…}NAMESPACE,ROOM    the retained publication; empty for a day, or as long as one is retained, when that was ended
//	names:NAMESPACE        sorted set: rooms that retain something, see [roomStore.index]
//	l:{…}NAMESPACE,ROOM    hash: by a node's epoch, the number of its last publication
//	p:{…}NAMESPACE,ROOM    sorted set: who is there, by name, see [memberOf]
//	o:{…}NAMESPACE,ROOM,ID a publisher's own id: "" while it is claimed, then the id of its publication
//	{nodes}:leases         sorted set: runs of nodes, by the time of Redis' clock at which they are taken for dead
//	{nodes}:dying          set: runs of nodes that are being cleared away
//	{nodes}:lock:RUN       who does that
//	rooms:RUN              set: rooms in which somebody is on a run of a node
//
// What is in braces gives the slot of a Redis Cluster: with sharded pub/sub it is that of the channel, so that one script
// keeps and publishes.
type roomStore struct {
	prefix string
	link   *link
	node   hub.Node
	send   func(*hub.NodeRequest)              // to other nodes
	slot   func(namespace, room string) string // the channel whose slot a room's keys have; "" for any
	lease  time.Duration
	beat   time.Duration

	renew    chan struct{}
	missed   *atomic.Bool    // messages of others were lost, and watchers are to be told what they have missed
	ready    func() error    // of the adapter
	reading  turns           // what is retained
	suspects map[string]bool // runs whose lease was over at the last beat; of run alone

	mu    sync.Mutex
	name  string         // names this run of the node, or a part of it: the node's name, "~", a random text
	rooms map[string]int // NAMESPACE,ROOM → how many are there, of this run
	gaps  map[string]bool
	tags  map[string]string // slots' channels with braces → what to write into ours
}

// presentFor is how long Redis keeps who is in a room when nothing changes there; all is told again in time.
const presentFor = 24 * time.Hour

// claimFor is how long a claim waits for its publication.
const claimFor = 5 * time.Second

// maxGaps bounds the rooms of which is remembered that a publication could not be kept.
const maxGaps = 10_000

//go:embed lua/publish.lua
var luaPublish string

//go:embed lua/append.lua
var luaAppend string

//go:embed lua/present.lua
var luaPresent string

//go:embed lua/read.lua
var luaRead string

//go:embed lua/claim.lua
var luaClaim string

//go:embed lua/beat.lua
var luaBeat string

//go:embed lua/bury.lua
var luaBury string

//go:embed lua/name.lua
var luaName string

// script is one that a [writer] sends.
type script struct{ text, digest string }

func newScript(text string) *script {
	return &script{text, goredis.NewScript(text).Hash()}
}

// name has the arguments of a command run the script: by its digest if the server knows that.
func (sc *script) name(args []any, known bool) {
	if known {
		args[0], args[1] = "EVALSHA", sc.digest
	} else {
		args[0], args[1] = "EVAL", sc.text
	}
}

var (
	scriptPublish = newScript(luaPublish)
	scriptPresent = newScript(luaPresent)
	scriptRead    = newScript(luaRead)
	scriptClaim   = newScript(luaClaim)
	scriptBeat    = newScript(luaBeat)
	scriptBury    = newScript(luaBury)
	scriptName    = newScript(luaName)
)

// do enqueues a script. done gets what it returns.
func (s *roomStore) do(sc *script, keys []string, args []any, size int, done func(*goredis.Cmd)) {
	all := make([]any, 3, 3+len(keys)+len(args))
	sc.name(all, false)
	all[2] = len(keys)
	for _, k := range keys {
		all = append(all, k)
	}
	c := command{cmd: goredis.NewCmd(s.link.ctx, append(all, args...)...), script: sc, key: keys[0], size: size, optional: true}
	if done != nil {
		c.done = func(c goredis.Cmder) { done(c.(*goredis.Cmd)) }
	}
	s.link.enqueue(c)
}

// key is that of something of a room.
func (s *roomStore) key(kind, namespace, room string) string {
	name := namespace + "," + room
	tag := s.slot(namespace, room)
	if tag == "" {
		tag = name
	}
	return s.prefix + ":greenroom:" + kind + ":{" + s.tag(tag) + "}" + name
}

// tag is what has the slot of a channel when it stands in braces: the channel itself, as long as it has none.
func (s *roomStore) tag(channel string) string {
	if !strings.ContainsAny(channel, "{}") {
		return channel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tags[channel]; ok {
		return t
	}
	want := slotOf(channel)
	for i := 0; ; i++ { // one in 16 384 fits
		t := strconv.Itoa(i)
		if slotOf(t) == want {
			if s.tags == nil || len(s.tags) >= maxGaps {
				s.tags = make(map[string]string)
			}
			s.tags[channel] = t
			return t
		}
	}
}

// publish sends a request to the other nodes on a channel, and keeps of it what it says.
func (s *roomStore) publish(sharded bool, channel string, body []byte, r *hub.NodeRequest) {
	k := r.Keep
	if k == nil {
		s.link.publish(sharded, channel, body)
		return
	}
	again := func() { s.link.publish(sharded, channel, body) }
	switch {
	case !sharded:
		s.keep("PUBLISH", channel, body, r, again)
	case channel == s.slot(r.Namespace, k.Room):
		s.keep("SPUBLISH", channel, body, r, again)
	default: // a script cannot reach another slot: who reads in between has it, and gets it as a message that is known
		s.keep("", "", nil, r, nil)
		again()
	}
}

// keep keeps what a request says. how is PUBLISH or SPUBLISH, or "" when it is sent otherwise; again sends it when Redis
// refuses to run scripts.
func (s *roomStore) keep(how, channel string, body []byte, r *hub.NodeRequest, again func()) {
	if k := r.Keep; k.Joined != nil || k.Left != nil {
		s.keepPresent(how, channel, body, r, again)
	} else {
		s.keepPublication(how, channel, body, r, again)
	}
}

func (s *roomStore) keepPublication(how, channel string, body []byte, r *hub.NodeRequest, again func()) {
	k := r.Keep
	name := r.Namespace + "," + k.Room
	entry := appendEntry(nil, k.ID, r.Payload)
	history, gap, retained := "0", "0", ""
	if k.History && len(entry) <= k.Limits.Bytes {
		history = "1"
		if s.takeGap(name) {
			gap = "1"
		}
	}
	switch {
	case k.Retain:
		retained = "set"
	case k.Forget:
		retained = "del"
	}
	once := ""
	if k.Once != "" {
		once = k.ID
	}
	keys := []string{
		s.key("h", r.Namespace, k.Room), s.key("b", r.Namespace, k.Room), s.key("r", r.Namespace, k.Room),
		s.key("l", r.Namespace, k.Room), s.key("o", r.Namespace, k.Room) + "," + digest(k.Once),
	}
	args := []any{
		how, channel, body, entry, history, gap, k.Limits.Messages, k.Limits.Bytes, k.Limits.TTL.Milliseconds(),
		retained, k.Limits.RetainedTTL.Milliseconds(), once, k.Window.Milliseconds(), k.Epoch, k.Seq,
	}
	s.do(scriptPublish, keys, args, len(body)+len(entry), func(c *goredis.Cmd) {
		n, err := c.Int()
		if s.refused(err) && again != nil {
			again()
		}
		switch {
		case err == nil && n == 2:
			if k.Window > 0 {
				s.node.Count(reasonPublished)
			}
			if gap == "1" { // what it was to tell is still so
				s.noteGap(name)
			}
		case err != nil || n != 1:
			s.node.Count(reasonUnkept)
			if history == "1" {
				s.noteGap(name)
			}
			if err == nil {
				err = errUnkept
			}
		}
		switch {
		case err != nil:
		case k.Retain:
			s.index(r.Namespace, k.Room, k.Limits.RetainedTTL.Milliseconds())
		case k.Forget:
			s.unname(r.Namespace, k.Room)
		}
		k.Over(err)
	})
}

var errUnkept = errors.New("redis: a key has something else in it")

// refused reports whether Redis has done nothing of a script.
func (s *roomStore) refused(err error) bool {
	var said goredis.Error
	return err != nil && errors.As(err, &said) && !errors.Is(err, goredis.Nil)
}

func (s *roomStore) takeGap(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gaps[name] {
		return false
	}
	delete(s.gaps, name)
	return true
}

func (s *roomStore) noteGap(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gaps == nil || len(s.gaps) >= maxGaps {
		s.gaps = make(map[string]bool)
	}
	s.gaps[name] = true
}

func (s *roomStore) keepPresent(how, channel string, body []byte, r *hub.NodeRequest, again func()) {
	k := r.Keep
	name := r.Namespace + "," + k.Room
	s.mu.Lock()
	run := s.name
	_, indexed := s.rooms[name]
	if !indexed {
		s.rooms[name] = 0
	}
	s.mu.Unlock()
	if !indexed { // first: who finds this node dead must find its rooms
		s.link.enqueue(command{cmd: goredis.NewIntCmd(s.link.ctx, "SADD", s.roomsKey(run), name), key: s.roomsKey(run), optional: true})
	}
	args := make([]any, 0, 5+len(k.Joined)+len(k.Left))
	args = append(args, how, channel, body, presentFor.Milliseconds(), len(k.Joined))
	for _, who := range k.Joined {
		args = append(args, memberOf(who, run))
	}
	for _, who := range k.Left {
		args = append(args, memberOf(who, run))
	}
	s.do(scriptPresent, []string{s.key("p", r.Namespace, k.Room)}, args, len(body)+64*len(args), func(c *goredis.Cmd) {
		kept, change, err := twoInts(c)
		switch {
		case s.refused(err) && again != nil:
			again()
		case err == nil && kept != 1:
			err = errUnkept
		case err == nil:
			s.counted(run, name, change)
		}
		if err != nil {
			s.node.Count(reasonUnkept)
			if errors.Is(err, errUnkept) {
				err = nil // it would fail again
			}
		}
		k.Over(err)
	})
}

// counted notes how many have come to a room, or gone; a room without any leaves the index.
func (s *roomStore) counted(run, name string, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if run != s.name {
		return
	}
	s.rooms[name] += change
	if s.rooms[name] <= 0 {
		delete(s.rooms, name)
		s.link.enqueue(command{cmd: goredis.NewIntCmd(s.link.ctx, "SREM", s.roomsKey(run), name), key: s.roomsKey(run), optional: true})
	}
}

func (s *roomStore) roomsKey(run string) string { return s.prefix + ":greenroom:rooms:" + run }

func (s *roomStore) nodesKey(what string) string { return s.prefix + ":greenroom:{nodes}:" + what }

// twoInts are the two numbers that a script returns.
func twoInts(c *goredis.Cmd) (a, b int, err error) {
	list, err := c.Slice()
	if err != nil {
		return 0, 0, err
	}
	if len(list) != 2 {
		return 0, 0, errMalformed
	}
	x, okX := list[0].(int64)
	y, okY := list[1].(int64)
	if !okX || !okY {
		return 0, 0, errMalformed
	}
	return int(x), int(y), nil
}

// read reads a room.
func (s *roomStore) read(namespace, room string, q hub.RoomQuery, done func(hub.RoomView, error)) {
	if err := s.link.ready(); err != nil && !isSubscribing(err) {
		done(hub.RoomView{}, err)
		return
	}
	retained := "0"
	if q.Retained {
		retained = "1"
	}
	keys := []string{s.key("h", namespace, room), s.key("p", namespace, room), s.key("r", namespace, room), s.key("l", namespace, room)}
	s.do(scriptRead, keys, []any{q.History, q.Members, retained}, 0, func(c *goredis.Cmd) {
		list, err := c.Slice()
		if err != nil || len(list) != 5 {
			done(hub.RoomView{}, errors.Join(err, errMalformed))
			return
		}
		done(s.view(list), nil)
	})
}

func (s *roomStore) view(list []any) (v hub.RoomView) {
	history, _ := list[0].([]any)
	for _, e := range history {
		text, _ := e.(string)
		p, err := readEntry(text)
		if err != nil {
			s.node.Count(reasonUnreadable)
			continue
		}
		v.History = append(v.History, p)
	}
	count, _ := list[1].(int64)
	v.Count = int(count)
	members, _ := list[2].([]any)
	for _, e := range members {
		text, _ := e.(string)
		who, run, err := readMember(text)
		if err != nil {
			s.node.Count(reasonUnreadable)
			v.Count--
			continue
		}
		v.Members = append(v.Members, hub.Present{Sender: who, Node: nodeOf(run)})
	}
	if text, ok := list[3].(string); ok && text == "" {
		v.Ended = true
	} else if ok {
		if p, err := readEntry(text); err == nil && p.ID != "" {
			v.Retained = &p
		} else {
			s.node.Count(reasonUnreadable)
		}
	}
	last := texts(list[4])
	v.Last = make(map[string]uint64, len(last)/2)
	for i := 0; i+1 < len(last); i += 2 {
		n, err := strconv.ParseUint(last[i+1], 10, 64)
		if err != nil {
			s.node.Count(reasonUnreadable)
			continue
		}
		v.Last[last[i]] = n
	}
	return v
}

// claim claims a publisher's own id.
func (s *roomStore) claim(namespace, room, id string, window time.Duration, done func(first string, fresh bool, err error)) {
	if err := s.link.ready(); err != nil && !isSubscribing(err) {
		done("", false, err)
		return
	}
	key := s.key("o", namespace, room) + "," + digest(id)
	s.do(scriptClaim, []string{key}, []any{min(window, claimFor).Milliseconds()}, 0, func(c *goredis.Cmd) {
		first, err := c.Text()
		if errors.Is(err, goredis.Nil) {
			done("", true, nil)
			return
		}
		done(first, false, err)
	})
}

// ReadRoom implements [hub.SharedRooms].
func (a *Adapter) ReadRoom(namespace, room string, q hub.RoomQuery, done func(hub.RoomView, error)) {
	a.rooms.read(namespace, room, q, done)
}

// Claim implements [hub.SharedRooms].
func (a *Adapter) Claim(namespace, room, id string, window time.Duration, done func(first string, fresh bool, err error)) {
	a.rooms.claim(namespace, room, id, window, done)
}

// Renew implements [hub.SharedRooms].
func (a *Adapter) Renew() {
	select {
	case a.rooms.renew <- struct{}{}:
	default: // it is going to
	}
}
