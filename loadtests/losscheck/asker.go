package losscheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// Asker is a backend that publishes numbered messages by requests over ZeroMQ, one after the other. Each has an id, by which
// it is sent again, to any other node, until one says that it is published: when its node has ended, and when there is no
// answer in time, whatever has become of the request. For some it does not wait at all, so that two nodes have them at once.
type Asker struct {
	ledger *Ledger
	nodes  *Nodes
	pub    int
	room   int
	every  time.Duration
	rand   *rand.Rand
	where  func(node int) (addr string, ok bool) // of a node's control endpoint

	at   *process
	node int // where the last request went, or -1
	left int // the newest message that was not waited for
	c    net.Conn
	k    *zmq4.Conn

	on, in atomic.Bool
	done   chan struct{}
}

// NewAsker makes one that publishes into a room, at the control endpoints of nodes that where knows.
func NewAsker(l *Ledger, nodes *Nodes, seed uint64, room int, every time.Duration, where func(node int) (string, bool)) *Asker {
	pub := l.Publisher(room)
	return &Asker{
		ledger: l, nodes: nodes, pub: pub, room: room, every: every, where: where, node: -1,
		rand: rand.New(rand.NewPCG(seed, 2<<32+uint64(pub))), done: make(chan struct{}),
	}
}

// Run publishes until quiet ends, and the message under way is published, or ctx ends.
func (a *Asker) Run(ctx, quiet context.Context) {
	a.on.Store(true)
	defer close(a.done)
	defer a.hangUp()
	for n := 1; quiet.Err() == nil; n++ {
		for a.once(ctx, n) != nil {
			if !pause(ctx, time.Duration(20+a.rand.IntN(80))*time.Millisecond) {
				return
			}
		}
		if !pause(quiet, a.every/2+time.Duration(a.rand.Int64N(int64(a.every)))) {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Running reports whether Run was called.
func (a *Asker) Running() bool { return a.on.Load() }

// In reports whether its newest message is published, or was not yet due.
func (a *Asker) In() bool { return a.in.Load() }

// Wait waits until Run has returned.
func (a *Asker) Wait() { <-a.done }

func (a *Asker) hangUp() {
	if a.c != nil {
		_ = a.k.Close()
		_ = a.c.Close()
		a.c, a.k = nil, nil
	}
}

// errImpatient is an answer that was not waited for.
var errImpatient = errors.New("impatient")

// errBusy is what a node says of an id whose first publication is under way.
var errBusy = errors.New("busy")

// once asks one node, the one before if it has answered. An error means that the message may be published or not.
func (a *Asker) once(ctx context.Context, n int) (err error) {
	a.in.Store(false)
	if a.c == nil || !a.nodes.runs(a.at) {
		a.hangUp()
		if err := a.call(ctx); err != nil {
			return err
		}
		a.ledger.Moved(a.pub)
	}
	defer func() {
		if err != nil && !errors.Is(err, errBusy) {
			a.hangUp()
		}
		a.in.Store(err == nil)
	}()
	c := a.c // it may be none when the end of ctx is noticed
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	a.ledger.Sending(a.pub, n, a.at.node)
	request, err := json.Marshal(map[string]any{"id": n, "method": "publish", "params": map[string]any{
		"room": roomName(a.room), "event": "m", "args": []any{map[string]int{"p": a.pub, "n": n}}, "id": fmt.Sprintf("asker-%d-%d", a.pub, n),
	}})
	if err != nil {
		return err
	}
	_ = a.c.SetDeadline(time.Now().Add(patience))
	if err := a.k.SendMsg(zmq4.NewMsg(request)); err != nil {
		return err
	}
	if n%7 == 0 && n != a.left {
		a.left = n
		return errImpatient
	}
	answer, err := a.answer()
	if err != nil {
		return err
	}
	if !answer.OK && answer.Code == "busy" {
		return errBusy
	}
	if !answer.OK || answer.Result.ID == "" {
		return fmt.Errorf("%s: %s", answer.Code, answer.Error)
	}
	a.ledger.Acked(a.pub, n, a.at.node)
	return nil
}

// call connects to another node than the last, if there is one.
func (a *Asker) call(ctx context.Context) error {
	at := a.nodes.pick(a.rand, a.node, func(node int) bool { _, ok := a.where(node); return ok })
	if at == nil {
		return net.ErrClosed
	}
	addr, _ := a.where(at.node)
	a.at, a.node = at, at.node
	dialer := net.Dialer{Timeout: patience}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	k, err := zmq4.Open(c, null.Security(), zmq4.Dealer, nil, false, nil)
	if err != nil {
		_ = c.Close()
		return err
	}
	a.c, a.k = c, k
	return nil
}

type asked struct {
	OK          bool
	Code, Error string
	Result      struct{ ID string }
}

func (a *Asker) answer() (answer asked, err error) {
	for {
		msg, err := a.k.RecvMsg() // answers heartbeats
		if err != nil {
			return answer, err
		}
		if msg.Type == zmq4.UsrMsg && len(msg.Frames) > 0 {
			return answer, json.Unmarshal(msg.Frames[len(msg.Frames)-1], &answer)
		}
	}
}
