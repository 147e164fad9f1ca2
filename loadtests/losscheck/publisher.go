package losscheck

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Publisher is a client that publishes numbered messages, one after the other: the next when the one before was answered.
// Each has an id, by which it may be sent twice: some are, at once, and all are when no answer comes, also by the next
// connection, to whatever node, if that goes on with the session, whose ids they are. If it does not, the next message
// follows.
type Publisher struct {
	ledger *Ledger
	pub    int
	room   int
	every  time.Duration
	caller caller
	on     atomic.Bool   // Run was called
	done   chan struct{} // closed when it publishes no more

	mu   sync.Mutex
	conn *conn
	node int
	turn chan struct{} // closed with each new connection
}

// NewPublisher makes one that publishes into a room, by nodes that among allows, about every so often.
func NewPublisher(l *Ledger, nodes *Nodes, seed uint64, room int, every time.Duration, among func(node int) bool) *Publisher {
	p := &Publisher{ledger: l, room: room, every: every, pub: l.Publisher(room), turn: make(chan struct{}), done: make(chan struct{})}
	p.caller = caller{
		nodes: nodes, rand: rand.New(rand.NewPCG(seed, 1<<32+uint64(p.pub))), among: among,
		connected: p.connected, begin: p.begin,
	}
	return p
}

// Run keeps it connected until ctx ends, and publishing until quiet ends.
func (p *Publisher) Run(ctx, quiet context.Context) {
	var both sync.WaitGroup
	p.on.Store(true)
	both.Go(func() { p.caller.run(ctx) })
	p.publish(quiet)
	close(p.done)
	both.Wait()
}

// Running reports whether Run was called.
func (p *Publisher) Running() bool { return p.on.Load() }

// Wait waits until the publisher has ended, see Run.
func (p *Publisher) Wait() { <-p.done }

// In reports whether it is connected.
func (p *Publisher) In() bool { return p.caller.in() }

func (p *Publisher) connected(*conn, int) func(string) { return func(string) {} }

func (p *Publisher) begin(ctx context.Context, k *conn) error {
	// It is in a room of its own, and hears itself there: an official client without an offset is not recovered.
	if !k.recovered {
		if _, err := k.ask(ctx, "join", p.own()); err != nil {
			return err
		}
		if _, err := k.ask(ctx, "publish", p.own(), "hello", 0, map[string]any{"echo": true}); err != nil {
			return err
		}
	}
	p.ledger.Moved(p.pub)
	p.mu.Lock()
	p.conn, p.node = k, p.caller.node
	close(p.turn)
	p.turn = make(chan struct{})
	p.mu.Unlock()
	p.caller.begun(k)
	return nil
}

func (p *Publisher) own() string { return fmt.Sprintf("publisher-%d", p.pub) }

func (p *Publisher) publish(ctx context.Context) {
	r := rand.New(rand.NewPCG(uint64(p.pub), 1))
	n := 1
	var last *conn
	session := "" // in which n was sent
	for ctx.Err() == nil {
		p.mu.Lock()
		k, node, turn := p.conn, p.node, p.turn
		p.mu.Unlock()
		if k == last || k == nil {
			select {
			case <-turn:
			case <-ctx.Done():
			}
			continue
		}
		last = k
		if session != "" && session != k.pid {
			n++
		}
		for !k.over() { // not on one that has ended while nothing was to be sent: that is a loss of nobody's making
			session = cmp.Or(k.pid, "none")
			p.ledger.Sending(p.pub, n, node)
			if err := p.one(ctx, k, n); err != nil {
				p.ledger.Failed(p.pub, n, err)
				_ = k.c.Close() // if it was refused
				break
			}
			p.ledger.Acked(p.pub, n, node)
			session = ""
			n++
			select {
			case <-time.After(p.every/2 + time.Duration(r.Int64N(int64(p.every)))):
			case <-ctx.Done():
				return
			}
		}
	}
}

// patience is how long a publisher waits for an answer before it sends the message once more.
const patience = time.Second

// one publishes message n until it is answered. An error is a refusal, or the end of the connection. The end of ctx is
// for the next one.
func (p *Publisher) one(_ context.Context, k *conn, n int) error {
	var answers []<-chan json.RawMessage
	send := func() error {
		ch, err := k.emit("publish", roomName(p.room), "m", map[string]int{"p": p.pub, "n": n}, map[string]any{"id": fmt.Sprint(n)})
		answers = append(answers, ch)
		return err
	}
	again := time.NewTicker(patience)
	defer again.Stop()
	if err := send(); err != nil {
		return err
	}
	if n%5 == 0 {
		if err := send(); err != nil {
			return err
		}
	}
	for {
		var second <-chan json.RawMessage // one of them is enough, but the last two answer soonest
		if len(answers) > 1 {
			second = answers[len(answers)-2]
		}
		select {
		case a := <-answers[len(answers)-1]:
			return accepted(a)
		case a := <-second:
			return accepted(a)
		case <-again.C:
			if err := send(); err != nil {
				return err
			}
		case <-k.gone:
			return io.EOF
		}
	}
}

// accepted looks at the answer to a publication.
func accepted(answer json.RawMessage) error {
	var list []struct {
		OK    bool
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	if len(list) != 1 || !list[0].OK {
		return errors.New(string(answer))
	}
	return nil
}
