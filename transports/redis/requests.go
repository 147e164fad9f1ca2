package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
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
	newID func() string
	nsp   string
	op    hub.Op
	reply func(hub.NodeReply)

	mu       sync.Mutex
	id       string // under of.mu as well
	others   int    // nodes that will answer, -1 until it is known
	answered int    // that have, or, asked for the answers of clients, have said how many those are
	nodes    map[string]*answerer
	open     int             // the sum of theirs: answers that have not come, below 0 while some overtake their number
	bytes    int             // that answers may have still
	sure     bool            // Redis has taken it. Until then what is answered is held: it may have to be asked again.
	held     []hub.NodeReply // what has come before that
	over     bool

	encode func(id string) ([]byte, error) // of a question that has not been sent
}

// answerer is a node that answers, or all of those that cannot be told apart.
type answerer struct {
	name string
	said bool // its answer, or how many clients it has asked
	open int  // clients that have not answered
}

// answerFrom is where an answer comes from.
type answerFrom struct {
	request string // the id of the question, as it says
	id      string // tells the node apart from others; "" if nothing does
	name    string // what it calls itself, or [hub.Unnamed]
	bytes   int    // about what the answer takes
}

// The bounds of what one question collects, in nodes and bytes.
const (
	maxAnswerers   = 10_000
	maxAnswerBytes = 256 << 20
)

// errUnasked: it is an answer more than was asked for.
var errUnasked = errors.New("an answer that nobody has asked for")

// ask notes a question and gives it an id, which newID makes. Without room for it, it is over at once, with nobody
// having answered.
func (qs *questions) ask(r *hub.NodeRequest, reply func(hub.NodeReply), newID func() string) *question {
	q := &question{of: qs, id: newID(), newID: newID, nsp: r.Namespace, op: r.Op, reply: reply, others: -1, bytes: maxAnswerBytes}
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
func (q *question) node(from answerFrom, r hub.NodeReply) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.answererLocked(from)
	if a == nil || a.said && from.id != "" {
		return errUnasked
	}
	a.said = true
	q.answered++
	r.Node, r.Done = from.name, true
	q.giveLocked(r)
	return nil
}

// asked takes how many clients a node has asked, whose answers follow.
func (q *question) asked(from answerFrom, clients int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.answererLocked(from)
	if a == nil || a.said && from.id != "" {
		return errUnasked
	}
	a.said = true
	q.answered++
	a.open += clients
	q.open += clients
	q.giveLocked(hub.NodeReply{Node: from.name, Asked: clients})
	return nil
}

// client takes the answer of one.
func (q *question) client(from answerFrom, said hub.Answer) error {
	return q.clients(from, 1, hub.NodeReply{Answers: []hub.Answer{said}})
}

// missing takes clients that will not answer.
func (q *question) missing(from answerFrom, sessions []string) error {
	return q.clients(from, len(sessions), hub.NodeReply{Missing: sessions})
}

// clients takes what n of a node's clients say, or do not.
func (q *question) clients(from answerFrom, n int, r hub.NodeReply) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.answererLocked(from)
	if a == nil || a.said && from.id != "" && n > a.open {
		return errUnasked
	}
	a.open -= n
	q.open -= n
	r.Node = from.name
	q.giveLocked(r)
	return nil
}

// answererLocked is who answers, nil if that is too much.
func (q *question) answererLocked(from answerFrom) *answerer {
	if from.request != q.id {
		return nil
	}
	if q.bytes -= from.bytes; q.bytes < 0 {
		return nil
	}
	a := q.nodes[from.id]
	if a == nil {
		if len(q.nodes) == maxAnswerers {
			return nil
		}
		if q.nodes == nil {
			q.nodes = make(map[string]*answerer)
		}
		a = &answerer{name: from.name}
		q.nodes[from.id] = a
	}
	return a
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
	if !r.Last && !q.sure {
		q.held = append(q.held, r)
		return
	}
	held := q.held
	q.held = nil
	for _, h := range held {
		q.reply(h)
	}
	if r.Last {
		q.over, q.encode = true, nil
		q.of.forget(q)
	}
	q.reply(r)
}

// confirm notes that Redis has taken the question, or that nobody knows: then the answers that have come do not count, and
// nor do others to what was sent, because it is asked again by another id. Where that could do harm, it is over.
func (q *question) confirm(taken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.over:
	case taken:
		q.sure = true
		if len(q.held) > 0 {
			last := len(q.held) - 1
			r := q.held[last]
			q.held = q.held[:last]
			q.giveLocked(r)
		}
	case !q.harmless():
		q.giveLocked(hub.NodeReply{Last: true})
	default:
		q.held, q.nodes, q.answered, q.open, q.bytes = nil, nil, 0, 0, maxAnswerBytes
		q.of.rename(q)
	}
}

// put publishes the question to a channel, and learns how many nodes will answer: where one server counts all who got the
// message and nobody else hears the channel, those, otherwise as many as are subscribed to counted. One that comes or goes
// right now would be waited for in vain, so where it is known how many got the message, no more than those are.
func (q *question) put(l *link, sharded bool, channel, counted string, encode func(id string) ([]byte, error), within time.Duration) {
	body, err := encode(q.id)
	if err != nil {
		q.give(hub.NodeReply{Last: true}) // it was encoded before
		return
	}
	got := q.publish(l, sharded, channel, body)
	_, one := l.topo.(single)
	go func() { // it ends with the link, or after its time
		ctx, cancel := context.WithTimeout(l.ctx, within+askDefault)
		defer cancel()
		most := -1
		for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
			if most < 0 {
				select {
				case most = <-got:
				case <-ctx.Done():
					return
				}
			}
			switch {
			case q.ended():
				return
			case most < 0:
				if body, err = encode(q.id); err != nil {
					return
				}
				got = q.publish(l, sharded, channel, body)
			case one && sharded:
				q.expect(most - 1) // we are one of them
				return
			default:
				if n, err := l.subscribers(ctx, sharded, counted); err == nil {
					if one {
						n = min(n, most)
					}
					q.expect(n - 1)
					return
				}
			}
			// The connections may be from before a restart.
			select {
			case <-time.After(wait):
			case <-ctx.Done():
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
		q.confirm(err == nil)
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
func (q *question) hold(encode func(id string) ([]byte, error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.over {
		q.encode = encode
	}
}

// release returns what was held, nil when nobody waits any more.
func (q *question) release() (encode func(id string) ([]byte, error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	encode, q.encode = q.encode, nil
	return encode
}

func (qs *questions) forget(q *question) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if qs.pending[q.id] == q {
		delete(qs.pending, q.id)
	}
}

// rename gives q, which is locked, another id: to the one that it has, nothing is taken any more.
func (qs *questions) rename(q *question) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if qs.pending[q.id] == q {
		delete(qs.pending, q.id)
		q.id = q.newID()
		qs.pending[q.id] = q
	}
}

// cancel ends it, and names the nodes that have not answered: as [hub.Unnamed], but for those of which clients alone are
// missing.
func (q *question) cancel() (silent []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over, q.encode, q.held = true, nil, nil
	q.of.forget(q)
	n := q.others - q.answered
	if q.others < 0 { // it was not known how many there are, or not even asked
		n = 1
	}
	for range n {
		silent = append(silent, hub.Unnamed)
	}
	if q.open > 0 {
		for _, a := range q.nodes {
			if a.open > 0 {
				silent = append(silent, a.name)
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
