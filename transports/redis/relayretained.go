package redis

import (
	"slices"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// The names of rooms that retain something are an index beside their values, so that those with a prefix are found. A
// name is added after its value was set, and taken out by whoever ends that or finds no value behind it: he looks once more afterwards,
// and adds it again should a value have come meanwhile. So a value has its name, but for the time between two commands, in
// which it comes as a message to those who listen.

const (
	// maxNames bounds the names of a namespace.
	maxNames = 100_000
	// retainedChunk is how many values are read at once.
	retainedChunk = 200
	// retainedAtOnce bounds the questions under way, so that they leave the link's queue to others, and maxRetainedWait those
	// that wait for them.
	retainedAtOnce  = 8
	maxRetainedWait = 10_000
)

// turns lets so many do something at once. The zero value is ready for use.
type turns struct {
	mu      sync.Mutex
	running int
	waiting []func()
}

// begin calls start when it is its turn, of which end is the end. It reports false when too many wait.
func (t *turns) begin(start func()) bool {
	t.mu.Lock()
	if t.running == retainedAtOnce {
		defer t.mu.Unlock()
		if len(t.waiting) == maxRetainedWait {
			return false
		}
		t.waiting = append(t.waiting, start)
		return true
	}
	t.running++
	t.mu.Unlock()
	start()
	return true
}

func (t *turns) end() {
	t.mu.Lock()
	if len(t.waiting) == 0 {
		t.running--
		t.mu.Unlock()
		return
	}
	next := t.waiting[0]
	t.waiting[0] = nil
	if t.waiting = t.waiting[1:]; len(t.waiting) == 0 {
		t.waiting = nil
	}
	t.mu.Unlock()
	next()
}

func (s *roomStore) namesKey(namespace string) string {
	return s.prefix + ":greenroom:names:" + namespace
}

// index adds a room to the names. ttl is the milliseconds that all of them are kept from now on: 0 for ever, "" as they are.
func (s *roomStore) index(namespace, room string, ttl any) {
	s.do(scriptName, []string{s.namesKey(namespace)}, []any{room, ttl, maxNames}, len(room), func(c *goredis.Cmd) {
		switch n, err := c.Int(); {
		case err != nil:
			s.node.Count(reasonUnkept)
		case n == 0:
			s.node.Count(reasonNamesFull)
		}
	})
}

// retainedRead is a question on its way.
type retainedRead struct {
	s         *roomStore
	namespace string
	names     []string
	bytes     int
	found     []hub.RetainedRoom
	done      func([]hub.RetainedRoom, error)
}

// retained reads what is retained, when it is its turn.
func (s *roomStore) retained(namespace string, q hub.RetainedQuery, done func([]hub.RetainedRoom, error)) {
	begun := s.reading.begin(func() {
		s.readRetained(namespace, q, func(found []hub.RetainedRoom, err error) {
			done(found, err)
			s.reading.end()
		})
	})
	if !begun {
		done(nil, errQueueFull)
	}
}

func (s *roomStore) readRetained(namespace string, q hub.RetainedQuery, done func([]hub.RetainedRoom, error)) {
	if err := s.link.ready(); err != nil && !isSubscribing(err) {
		done(nil, err)
		return
	}
	from, to := "-", "+"
	if q.Prefix != "" {
		from, to = "["+q.Prefix, "("+q.Prefix+"\xff" // names are UTF-8, which has no such byte
	}
	if q.After != "" && q.After >= q.Prefix {
		from = "(" + q.After
	}
	key := s.namesKey(namespace)
	cmd := goredis.NewStringSliceCmd(s.link.ctx, "ZRANGEBYLEX", key, from, to, "LIMIT", 0, q.Limit)
	s.link.enqueue(command{cmd: cmd, key: key, size: 100, optional: true, done: func(c goredis.Cmder) {
		names, err := cmd.Result()
		if err != nil {
			done(nil, err)
			return
		}
		names = slices.DeleteFunc(append(names, q.Also...), func(name string) bool { return hub.CheckRoom(name) != nil })
		slices.Sort(names)
		r := &retainedRead{s: s, namespace: namespace, names: slices.Compact(names), bytes: q.Bytes, done: done}
		r.next()
	}})
}

// next reads the next values.
func (r *retainedRead) next() {
	if len(r.names) == 0 || r.bytes < 0 {
		r.done(r.found, nil)
		return
	}
	chunk := r.names[:min(len(r.names), retainedChunk)]
	r.names = r.names[len(chunk):]
	var left atomic.Int32
	left.Store(int32(len(chunk)))
	views := make([]hub.RoomView, len(chunk))
	errs := make([]error, len(chunk))
	for i, room := range chunk {
		r.s.read(r.namespace, room, hub.RoomQuery{Retained: true}, func(v hub.RoomView, err error) {
			views[i], errs[i] = v, err
			if left.Add(-1) > 0 {
				return
			}
			for i, room := range chunk {
				if errs[i] != nil {
					r.done(r.found, errs[i])
					return
				}
				r.take(room, &views[i])
			}
			r.next()
		})
	}
}

func (r *retainedRead) take(room string, v *hub.RoomView) {
	r.found = append(r.found, hub.RetainedRoom{Room: room, Retained: v.Retained, Ended: v.Ended, Last: v.Last})
	if v.Retained != nil {
		r.bytes -= len(v.Retained.Payload.JSON)
		for _, b := range v.Retained.Payload.Attachments {
			r.bytes -= len(b)
		}
		return
	}
	r.s.unname(r.namespace, room)
}

// unname takes a room out of the index, unless something is retained in it after all.
func (s *roomStore) unname(namespace, room string) {
	key := s.namesKey(namespace)
	out := goredis.NewIntCmd(s.link.ctx, "ZREM", key, room)
	s.link.enqueue(command{cmd: out, key: key, size: len(room), optional: true, done: func(goredis.Cmder) {
		if n, err := out.Result(); err != nil || n == 0 {
			return
		}
		s.read(namespace, room, hub.RoomQuery{Retained: true}, func(v hub.RoomView, err error) {
			if err == nil && v.Retained != nil {
				s.index(namespace, room, "")
			}
		})
	}})
}

// ReadRetained implements [hub.SharedRooms].
func (a *Adapter) ReadRetained(namespace string, q hub.RetainedQuery, done func([]hub.RetainedRoom, error)) {
	a.rooms.retained(namespace, q, done)
}
