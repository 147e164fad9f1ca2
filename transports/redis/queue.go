package redis

import (
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// command is one thing for Redis to do.
type command struct {
	cmd  goredis.Cmder           // such as goredis.NewCmd(ctx, "XADD", …); its arguments must not change any more
	key  string                  // a key or a sharded channel that it is about: it says which node of a Cluster is meant. "": any
	size int                     // bytes, about
	keep time.Duration           // how long it may wait to be sent, default as a message's
	done func(cmd goredis.Cmder) // called once with the result or with an error, from a goroutine of the link; must not block

	script   *script // that cmd runs: EVALSHA with its digest, or EVAL with all of it where that is not known
	optional bool    // a refusal does not mean that this node is not ready
	seq      uint64  // counts what is asked of the link
	until    time.Time
	moves    int  // how often a Cluster has sent it elsewhere, or a server did not know its script
	asking   bool // to a node that is being given the slot, and that has to be told that we know
}

// overhead is what a command costs beside its bytes.
const overhead = 256

// queue holds what has not been sent, in the order in which it was asked for. The link's lock guards it.
type queue struct {
	list  []command
	head  int
	bytes int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(c command) {
	q.list = append(q.list, c)
	q.bytes += c.size + overhead
}

// take moves the oldest commands to batch, at most max and of at most maxBytes, but for one. Those among them that have
// waited too long it moves to old.
func (q *queue) take(batch []command, max, maxBytes int, now time.Time) (_, old []command) {
	bytes := 0
	for q.head < len(q.list) && len(batch) < max {
		c := &q.list[q.head]
		if now.After(c.until) {
			old = append(old, *c)
		} else {
			if bytes += c.size; bytes > maxBytes && len(batch) > 0 {
				break
			}
			batch = append(batch, *c)
		}
		q.bytes -= c.size + overhead
		*c = command{}
		q.head++
	}
	q.compact()
	return batch, old
}

// compact lets go of memory that is not needed any more.
func (q *queue) compact() {
	switch {
	case q.head == len(q.list):
		q.head = 0
		if q.list = q.list[:0]; cap(q.list) > 4096 {
			q.list = nil
		}
	case q.head > 1024 && q.head > len(q.list)/2:
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
}

// oneAsking leaves of a batch those for later that follow one that is to be asked for, and that may be refused, when the
// next would not be.
func (q *queue) oneAsking(batch []command) []command {
	if !slices.ContainsFunc(batch, func(c command) bool { return c.asking }) {
		return batch
	}
	slots := make(map[int]bool)
	var later []command
	now := batch[:0]
	for _, c := range batch {
		slot := slotOf(c.key)
		switch {
		case c.key != "" && slots[slot]:
			later = append(later, c)
			continue
		case c.asking:
			slots[slot] = true
		}
		now = append(now, c)
	}
	q.back(later)
	return now
}

// back puts commands back that were not done, each before what was asked for later.
func (q *queue) back(batch []command) {
	if len(batch) == 0 {
		return
	}
	rest := q.list[q.head:]
	list := make([]command, 0, len(batch)+len(rest))
	for i := range batch {
		q.bytes += batch[i].size + overhead
	}
	for len(batch) > 0 && len(rest) > 0 {
		if rest[0].seq < batch[0].seq {
			list, rest = append(list, rest[0]), rest[1:]
		} else {
			list, batch = append(list, batch[0]), batch[1:]
		}
	}
	q.list, q.head = append(append(list, batch...), rest...), 0
}

// expire removes those that have waited too long.
func (q *queue) expire(now time.Time) (old []command) {
	return q.remove(func(c *command) bool { return now.After(c.until) })
}

// remove takes those out that match, in order.
func (q *queue) remove(match func(*command) bool) (out []command) {
	kept := q.list[:0]
	for _, c := range q.list[q.head:] {
		if match(&c) {
			out = append(out, c)
			q.bytes -= c.size + overhead
		} else {
			kept = append(kept, c)
		}
	}
	clear(q.list[len(kept):])
	q.list, q.head = kept, 0
	return out
}
