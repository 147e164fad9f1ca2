package redis

import (
	"context"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

const (
	// buryPage is how many members of a dead node are cleared away in one step.
	buryPage = 1000
	// buryLock is how long one node clears another one away before a third may begin as well.
	buryLock = 15 * time.Second
	// announceEvery is how often all is told again, so that Redis does not forget it.
	announceEvery = presentFor / 3
	// farewellFor is how long the end of a lease may take.
	farewellFor = time.Second
)

// presenceTTL is the default of [Options].PresenceTTL, and the least that is taken.
const (
	presenceTTL      = 30 * time.Second
	presenceTTLLeast = time.Second
)

func newRoomStore(prefix string, ttl time.Duration, link *link, node hub.Node) *roomStore {
	if ttl == 0 {
		ttl = presenceTTL
	}
	ttl = max(ttl, presenceTTLLeast)
	return &roomStore{
		prefix: prefix, link: link, node: node, lease: ttl / 2, beat: ttl / 6,
		slot:  func(string, string) string { return "" },
		renew: make(chan struct{}, 1),
		name:  newRun(node.Name()), rooms: make(map[string]int),
	}
}

// newRun names a run of a node.
func newRun(node string) string { return clean(node) + "~" + hub.NewID()[:8] }

// run keeps the lease until quit is closed. A node whose lease is over for two beats is dead: one beat more, because Redis
// may have stood still and then finds all leases over at once.
func (s *roomStore) run(quit <-chan struct{}) {
	tick := time.NewTicker(s.beat)
	defer tick.Stop()
	told := time.Now()
	first := true
	for {
		if s.once(first) {
			first = false
		}
		if s.missed.Swap(false) { // first: what is lost from here on is for a later beat
			if s.ready() == nil {
				s.node.Missed()
			} else {
				s.missed.Store(true)
			}
		}
		if time.Since(told) > announceEvery {
			told = time.Now()
			s.node.Announce()
		}
		select {
		case <-quit:
			return
		case <-s.renew:
			s.begin()
			s.once(true)
			s.node.Announce()
		case <-tick.C:
		}
	}
}

// begin begins a new run. What was announced by the one before is cleared away like a dead node's, at a later beat: some
// of it may be on its way still.
func (s *roomStore) begin() {
	old := s.current()
	s.mu.Lock()
	s.name = newRun(s.node.Name())
	clear(s.rooms)
	s.mu.Unlock()
	s.bury(old)
}

func (s *roomStore) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

// once is one beat, and reports whether Redis has answered.
func (s *roomStore) once(first bool) bool {
	ctx, cancel := context.WithTimeout(s.link.ctx, s.beat)
	defer cancel()
	run := s.current()
	list, err := s.eval(ctx, scriptBeat, []string{s.nodesKey("leases"), s.nodesKey("dying")}, run, s.lease.Milliseconds()).Slice()
	if err != nil || len(list) != 3 {
		s.suspects = nil
		return false
	}
	if known, _ := list[0].(int64); known == 0 && !first { // this run is taken for dead, or Redis has forgotten all
		s.begin()
		if _, err := s.eval(ctx, scriptBeat, []string{s.nodesKey("leases"), s.nodesKey("dying")}, s.current(), s.lease.Milliseconds()).Slice(); err != nil {
			return false
		}
		s.node.Announce()
	}
	over := texts(list[1])
	for _, dead := range over {
		if dead != run && s.suspects[dead] {
			s.eval(ctx, scriptBury, []string{s.nodesKey("leases"), s.nodesKey("dying")}, dead, "0")
			s.clear(dead)
		}
	}
	s.suspects = make(map[string]bool, len(over))
	for _, dead := range over {
		s.suspects[dead] = true
	}
	for _, dead := range texts(list[2]) { // whoever has begun with it may have died as well
		s.clear(dead)
	}
	return true
}

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		if text, ok := e.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

func (s *roomStore) eval(ctx context.Context, sc *script, keys []string, args ...any) *goredis.Cmd {
	c := s.link.client().EvalSha(ctx, sc.digest, keys, args...)
	if err := c.Err(); err != nil && code(err) == "NOSCRIPT" {
		return s.link.client().Eval(ctx, sc.text, keys, args...)
	}
	return c
}

// bury ends a lease by force, and reports whether it did.
func (s *roomStore) bury(run string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), farewellFor)
	defer cancel()
	n, err := s.eval(ctx, scriptBury, []string{s.nodesKey("leases"), s.nodesKey("dying")}, run, "1").Int()
	return err == nil && n == 1
}

// clear takes those off all rooms who were on a dead run of a node, unless another node is at it. Watchers are told first:
// should this node die meanwhile as well, the next one tells them again.
func (s *roomStore) clear(run string) {
	ctx, cancel := context.WithTimeout(context.Background(), buryLock)
	defer cancel()
	client := s.link.client()
	lock := s.nodesKey("lock:" + run)
	if got, err := client.SetNX(ctx, lock, s.current(), buryLock).Result(); err != nil || !got {
		return
	}
	for {
		names, err := client.SRandMemberN(ctx, s.roomsKey(run), 100).Result()
		if err != nil {
			return
		}
		if len(names) == 0 {
			break
		}
		for _, name := range names {
			namespace, room, ok := strings.Cut(name, ",")
			if ok && !s.clearRoom(ctx, run, namespace, room) {
				return
			}
			if client.SRem(ctx, s.roomsKey(run), name).Err() != nil {
				return
			}
		}
	}
	client.SRem(ctx, s.nodesKey("dying"), run)
	client.Del(ctx, lock)
}

// clearRoom reports false when Redis does not answer.
func (s *roomStore) clearRoom(ctx context.Context, run, namespace, room string) bool {
	client := s.link.client()
	key := s.key("p", namespace, room)
	for at := int64(0); ; {
		// One more at each end: somebody may be here twice, on the dead run and on another.
		page, err := client.ZRange(ctx, key, max(0, at-1), at+buryPage).Result()
		if err != nil {
			return code(err) == "WRONGTYPE"
		}
		var dead []any
		left := []*hub.Sender{}
		for i, text := range page {
			if !strings.HasSuffix(text, "\x00"+run) {
				continue
			}
			dead = append(dead, text)
			who, _, err := readMember(text)
			if err != nil {
				continue
			}
			own := text[:len(text)-len(run)]
			elsewhere := i > 0 && strings.HasPrefix(page[i-1], own) || i+1 < len(page) && strings.HasPrefix(page[i+1], own)
			if !elsewhere {
				left = append(left, &who)
			}
		}
		for part := range slices.Chunk(left, 500) {
			s.tellLeft(namespace, room, part)
		}
		if len(dead) > 0 {
			if err := client.ZRem(ctx, key, dead...).Err(); err != nil {
				return false
			}
		}
		if len(page) < buryPage {
			return true
		}
		at += int64(buryPage - len(dead))
	}
}

// tellLeft tells watchers on all nodes.
func (s *roomStore) tellLeft(namespace, room string, left []*hub.Sender) {
	r, err := hub.PresenceRequest(namespace, room, left)
	if err != nil {
		s.node.Count(reasonMalformed)
		return
	}
	s.node.Serve(r, nil)
	s.send(r)
}

// farewell tells the others that nobody is here any more.
func (s *roomStore) farewell() {
	if run := s.current(); s.link.ready() == nil && s.bury(run) {
		s.clear(run)
	}
}
