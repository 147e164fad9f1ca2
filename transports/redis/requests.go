package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// maxQuestions bounds the questions of this node that wait for answers.
const maxQuestions = 10_000

// questions are those of this node to others that wait for answers, by their ids. Any goroutine. The zero value is ready
// to use.
type questions struct {
	mu      sync.Mutex
	pending map[string]*question
	closed  bool
}

// question collects what other nodes answer. How many will is known later than the first of them may answer. mu is held
// while reply is called, so that the last reply comes behind all others.
type question struct {
	of    *questions
	id    string
	nsp   string
	op    hub.Op
	reply func(hub.NodeReply)

	mu       sync.Mutex
	others   int // nodes that will answer, -1 until it is known
	answered int // that have, or, asked for the answers of clients, have said how many those are
	clients  map[string]int
	open     int // the sum of clients: answers that have not come, below 0 while some overtake their number
	over     bool

	body []byte // of a request that has not been sent
}

// ask notes a question and gives it an id, which newID makes. Without room for it, it is over at once, with nobody
// having answered.
func (qs *questions) ask(r *hub.NodeRequest, reply func(hub.NodeReply), newID func() string) *question {
	q := &question{of: qs, id: newID(), nsp: r.Namespace, op: r.Op, reply: reply, others: -1}
	qs.mu.Lock()
	full := qs.closed || len(qs.pending) >= maxQuestions
	if !full {
		if qs.pending == nil {
			qs.pending = make(map[string]*question)
		}
		qs.pending[q.id] = q
	}
	qs.mu.Unlock()
	if full {
		q.give(hub.NodeReply{Last: true})
	}
	return q
}

// find is the question called id, or nil.
func (qs *questions) find(id string) *question {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	return qs.pending[id]
}

// close ends all questions, without the answers that are missing.
func (qs *questions) close() {
	qs.mu.Lock()
	qs.closed = true
	pending := qs.pending
	qs.pending = nil
	qs.mu.Unlock()
	for _, q := range pending {
		q.give(hub.NodeReply{Last: true})
	}
}

// expect says how many nodes will answer.
func (q *question) expect(others int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.others = max(others, 0)
	q.giveLocked(hub.NodeReply{})
}

// node takes the whole answer of a node.
func (q *question) node(r hub.NodeReply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answered++
	r.Done = true
	q.giveLocked(r)
}

// asked takes how many clients a node has asked, whose answers follow.
func (q *question) asked(node string, clients int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answered++
	q.openLocked(node, clients)
	q.giveLocked(hub.NodeReply{Node: node, Asked: clients})
}

// client takes the answer of one.
func (q *question) client(node string, a hub.Answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.openLocked(node, -1)
	q.giveLocked(hub.NodeReply{Node: node, Answers: []hub.Answer{a}})
}

// missing takes clients that will not answer.
func (q *question) missing(node string, sessions []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.openLocked(node, -len(sessions))
	q.giveLocked(hub.NodeReply{Node: node, Missing: sessions})
}

func (q *question) openLocked(node string, n int) {
	if q.clients == nil {
		q.clients = make(map[string]int)
	}
	q.clients[node] += n
	q.open += n
}

func (q *question) give(r hub.NodeReply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveLocked(r)
}

// giveLocked passes a reply on, with Last if nothing follows.
func (q *question) giveLocked(r hub.NodeReply) {
	if q.over {
		return
	}
	if q.others >= 0 && q.answered >= q.others && q.open <= 0 {
		r.Last = true
	}
	if r.Last {
		q.over, q.body = true, nil
		q.of.forget(q.id)
	}
	q.reply(r)
}

// put publishes the question to a channel, and learns how many nodes will answer: as many as are subscribed to counted.
// One that comes or goes right now would be waited for in vain, so where one server counts all who got the message, no
// more than those are.
func (q *question) put(l *link, sharded bool, channel, counted string, body []byte, within time.Duration) {
	got := q.publish(l, sharded, channel, body)
	go func() { // it ends with the link, or after its time
		ctx, cancel := context.WithTimeout(l.ctx, within+askDefault)
		defer cancel()
		for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
			n, err := l.subscribers(ctx, sharded, counted)
			select {
			case most := <-got:
				if got <- most; most < 0 && !q.harmless() { // who knows whether others have it
					q.give(hub.NodeReply{Last: true})
					return
				}
				if most < 0 {
					<-got
					got = q.publish(l, sharded, channel, body)
				} else if err == nil {
					if _, one := l.topo.(single); one {
						n = min(n, most)
					}
					q.expect(n - 1) // we are one of them
					return
				}
			case <-ctx.Done():
			}
			// The connections may be from before a restart.
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			if ctx.Err() != nil || q.ended() {
				return
			}
		}
	}()
}

// harmless reports whether the question may be asked twice. Clients and applications may count how often they are asked.
func (q *question) harmless() bool { return q.op == hub.OpSessions || q.op == hub.OpRooms }

// publish returns how many have got it, -1 if that is not known.
func (q *question) publish(l *link, sharded bool, channel string, body []byte) chan int {
	c := command{size: len(channel) + len(body)}
	if sharded {
		c.cmd, c.key = goredis.NewIntCmd(l.ctx, "SPUBLISH", channel, body), channel
	} else {
		c.cmd = goredis.NewIntCmd(l.ctx, "PUBLISH", channel, body)
	}
	got := make(chan int, 1)
	c.done = func(cmd goredis.Cmder) {
		n, err := cmd.(*goredis.IntCmd).Result()
		if err != nil {
			n = -1
		}
		got <- int(n)
	}
	l.enqueue(c)
	return got
}

func (q *question) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.over
}

// hold keeps the request until it can be sent, or nobody waits any more.
func (q *question) hold(body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.over {
		q.body = body
	}
}

// release returns what was held, nil when nobody waits any more.
func (q *question) release() (body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	body, q.body = q.body, nil
	return body
}

func (qs *questions) forget(id string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.pending, id)
}

// cancel ends it, and names the nodes that have not answered: as [hub.Unnamed], but for those of which clients alone are
// missing.
func (q *question) cancel() (silent []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over, q.body = true, nil
	q.of.forget(q.id)
	n := q.others - q.answered
	if q.others < 0 { // it was not known how many there are, or not even asked
		n = 1
	}
	for range n {
		silent = append(silent, hub.Unnamed)
	}
	if q.open > 0 {
		for node, open := range q.clients {
			if open > 0 {
				silent = append(silent, node)
			}
		}
	}
	slices.Sort(silent)
	return silent
}

// serving bounds what is done for other nodes at once: questions take memory until they are answered, and what asks
// clients takes them time. Any goroutine.
type serving struct {
	mu     sync.Mutex
	open   int // questions not yet answered
	tokens float64
	last   time.Time
}

// The bounds. Node.js has none; nobody who asks in good faith comes near them.
const (
	maxServing   = 1000             // questions at once
	serveRate    = 20_000           // requests a second
	serveBurst   = 40_000           // those at once
	questionCost = 4                // requests that a question counts for
	maxRounds    = 100              // rooms that one request joins or leaves
	serveWithin  = 4 * time.Second  // questions that do not say how long they wait: Node.js waits for 5 s
	serveLongest = 5 * time.Minute  // those that do
	askDefault   = 10 * time.Second // how long after the time of a question it is still asked how many would answer
)

// take reports whether a request may be served now; a question has to be ended by done.
func (s *serving) take(question bool) bool { return s.takeAt(time.Now(), question) }

func (s *serving) takeAt(now time.Time, question bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() {
		s.tokens = serveBurst
	} else {
		s.tokens = min(serveBurst, s.tokens+now.Sub(s.last).Seconds()*serveRate)
	}
	s.last = now
	cost := 1.0
	if question {
		cost = questionCost
	}
	if s.tokens < cost || question && s.open >= maxServing {
		return false
	}
	s.tokens -= cost
	if question {
		s.open++
	}
	return true
}

func (s *serving) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// uid6 makes an id as the classic adapter does: six characters.
func uid6() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])[:6]
}

// uid16 makes an id as the sharded and streams adapters do: eight bytes in hexadecimal.
func uid16() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
