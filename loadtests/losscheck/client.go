package losscheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Nodes are where clients find nodes, which come and go.
type Nodes struct{ list []atomic.Pointer[process] }

// process is one run of a node. A client is there as long as this is the node's, whether or not it has noticed yet.
type process struct {
	node int
	addr string
}

// NewNodes has n of them, none of which is there.
func NewNodes(n int) *Nodes { return &Nodes{list: make([]atomic.Pointer[process], n)} }

// Up has clients come to a node at host:port; Down has none come.
func (n *Nodes) Up(node int, addr string) { n.list[node].Store(&process{node, addr}) }

// Down is the end of Up.
func (n *Nodes) Down(node int) { n.list[node].Store(nil) }

func (n *Nodes) runs(p *process) bool { return n.list[p.node].Load() == p }

// pick is a node that is there, another one than the last if there is one, as behind a load balancer.
func (n *Nodes) pick(r *rand.Rand, last int, among func(int) bool) (there *process) {
	for _, i := range r.Perm(len(n.list)) {
		if p := n.list[i].Load(); p != nil && among(i) && (there == nil || there.node == last) {
			there = p
		}
	}
	return there
}

// caller is one that keeps a connection, as an official client does: it comes back after a while, to any node.
type caller struct {
	nodes *Nodes
	rand  *rand.Rand
	among func(node int) bool
	// connected is called with each connection, before its events are heard. begin is called next, beside them: an error
	// gives the connection up.
	connected func(k *conn, node int) (heard func(event string))
	begin     func(ctx context.Context, k *conn) error

	node   int
	pid    atomic.Pointer[string] // of the session, or nil
	conn   atomic.Pointer[conn]   // the newest
	at     *process               // where that leads
	live   atomic.Pointer[line]   // the newest that is of use
	offset string                 // of what came last
}

// line is a connection that has begun.
type line struct {
	*conn
	at *process
}

// begun notes that the newest connection is of use, and waits for its end.
func (c *caller) begun(k *conn) {
	c.live.Store(&line{k, c.at})
	<-k.gone
}

// in reports whether there is a connection, to a node that runs.
func (c *caller) in() bool {
	l := c.live.Load()
	return l != nil && c.nodes.runs(l.at) && !l.over()
}

// tooLong bounds one attempt to connect. Nothing is decided by its length: the next one has the same chance.
const tooLong = 30 * time.Second

// run connects, and again, until ctx ends.
func (c *caller) run(ctx context.Context) {
	c.node = -1
	for ctx.Err() == nil {
		c.once(ctx)
		select {
		case <-time.After(time.Duration(20+c.rand.IntN(80)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// once connects, and returns when the connection has ended.
func (c *caller) once(ctx context.Context) {
	there := c.nodes.pick(c.rand, c.node, c.among)
	if there == nil {
		return
	}
	try, cancel := context.WithTimeout(ctx, tooLong)
	defer cancel()
	pid := ""
	if p := c.pid.Load(); p != nil {
		pid = *p
	}
	k, err := dial(try, there.addr, pid, c.offset)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = k.c.Close() })
	defer stop()
	c.node, c.at = there.node, there
	c.pid.Store(&k.pid)
	c.conn.Store(k)
	if !k.recovered {
		c.offset = ""
	}
	heard := c.connected(k, there.node)
	var done sync.WaitGroup
	done.Go(func() {
		for _, e := range k.early {
			heard(c.event(e))
		}
		_ = k.serve(func(e string) { heard(c.event(e)) })
	})
	if c.begin(try, k) != nil {
		_ = k.c.Close()
	}
	done.Wait()
}

// event notes the offset of an event, as official clients do: a text in the last place.
func (c *caller) event(e string) string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(e), &list) == nil && len(list) > 1 {
		var offset string
		if json.Unmarshal(list[len(list)-1], &offset) == nil {
			c.offset = offset
		}
	}
	return e
}

// errStampless is an event that is none of ours.
var errStampless = errors.New("not a numbered message")

// stampOf reads a numbered message.
func stampOf(event string) (s stamp, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(event), &list); err != nil {
		return s, err
	}
	if len(list) < 2 || string(list[0]) != `"m"` {
		return s, errStampless
	}
	var body struct{ P, N *int }
	if err := json.Unmarshal(list[1], &body); err != nil {
		return s, err
	}
	if body.P == nil || body.N == nil {
		return s, errStampless
	}
	return stamp{*body.P, *body.N}, nil
}

func roomName(room int) string { return fmt.Sprintf("room-%d", room) }

// Listener is a client that writes down what it gets.
type Listener struct {
	ledger *Ledger
	id     int
	rooms  []int
	caller caller

	conn   int  // of the ledger
	joined bool // the session is in the rooms
}

// NewListener makes a client that will be in rooms, by whatever node.
func NewListener(l *Ledger, nodes *Nodes, seed uint64, rooms ...int) *Listener {
	c := &Listener{ledger: l, id: l.Client(rooms...), rooms: rooms}
	c.caller = caller{
		nodes: nodes, rand: rand.New(rand.NewPCG(seed, uint64(c.id))), among: func(int) bool { return true },
		connected: c.connected, begin: c.begin,
	}
	return c
}

// Run keeps it connected until ctx ends.
func (c *Listener) Run(ctx context.Context) { c.caller.run(ctx) }

// In reports whether it is in its rooms.
func (c *Listener) In() bool { return c.caller.in() }

// At is the node that its connection leads to, or -1.
func (c *Listener) At() int {
	if l := c.caller.live.Load(); l != nil {
		return l.at.node
	}
	return -1
}

// Break closes its connection, as a network does that goes away.
func (c *Listener) Break() {
	if k := c.caller.conn.Load(); k != nil {
		_ = k.c.Close()
		<-k.gone
	}
}

// Session is the id by which it comes back, or "".
func (c *Listener) Session() string {
	if p := c.caller.pid.Load(); p != nil {
		return *p
	}
	return ""
}

func (c *Listener) connected(k *conn, node int) func(string) {
	c.joined = c.joined && k.recovered
	conn := c.ledger.Connected(c.id, node, k.recovered)
	c.conn = conn
	return func(event string) {
		if s, err := stampOf(event); err == nil {
			c.ledger.Got(c.id, conn, s.Pub, s.N)
		}
	}
}

func (c *Listener) begin(ctx context.Context, k *conn) error {
	if !c.joined {
		for _, r := range c.rooms {
			if _, err := k.ask(ctx, "join", roomName(r)); err != nil {
				return err
			}
		}
		c.joined = true
		c.ledger.Joined(c.id, c.conn)
	}
	c.caller.begun(k)
	return nil
}
