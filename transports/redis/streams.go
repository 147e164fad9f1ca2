package redis

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// streams is the driver of the streams adapter: all messages of all namespaces lie in one Redis stream, which every node
// reads. It is a [hub.Sequencer]: a node does its own messages, too, when it reads them back, so that all Greenroom
// nodes do everything in one order. Node.js does its own a little earlier, when XADD has answered.
//
// While Redis is away, or slow, a node does its own messages at once, and adds them to the stream when it can; see
// [hub.Entry].Early. What it has read of others waits for nothing.
//
// Three goroutines share the work: one writes, one reads, and one gives the hub what is next.
type streams struct {
	a    *Adapter
	l    *link
	node hub.Ordered
	asks *sharded // questions to other nodes and their answers, which go by publish and subscribe

	key string // of the stream
	uid string // of this node, for all namespaces

	scriptless bool // scripts are refused; the writer's

	ctx     context.Context
	cancel  context.CancelFunc
	drain   chan struct{} // closed when nothing more comes
	wg      sync.WaitGroup
	wake    chan struct{} // the writer has something to do; a buffer of one
	kick    chan struct{} // the deliverer has something to look at; a buffer of one
	batches chan batchRead

	mu        sync.Mutex
	pending   []*pendingEntry // own messages that were not read back, in order
	written   int             // as many of them are in the stream, for all that is known
	bytes     int             // of those that are not
	n         uint64          // of the newest
	closed    bool
	last      hub.Place // everything up to here is done
	hole      hub.Place // behind it something is lost, of which the stream does not tell
	writeErr  error     // why it is not connected, or nil
	readErr   error
	cut       func()        // ends the connection that reads, if there is one
	fetching  chan struct{} // bounds what sessions that come back ask for
	deliverer deliverer
}

// pendingEntry is an own message on its way.
type pendingEntry struct {
	n     uint64
	r     *hub.NodeRequest
	size  int
	at    time.Time
	early bool // it is done here; owned by the deliverer
}

const (
	// streamPatience is how long an own message may take to come back before it is done without its place: a hundred
	// times what it takes, and less than people wait for.
	streamPatience = 500 * time.Millisecond
	streamBlock    = 5 * time.Second
	streamMaxLen   = 10_000
	streamCount    = 100
	// fetchesAtOnce bounds the sessions for which the stream is read at the same time.
	fetchesAtOnce = 32
)

func newStreams(o Options) *streams {
	s := &streams{
		key: o.stream(), drain: make(chan struct{}), wake: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		batches: make(chan batchRead, 4), fetching: make(chan struct{}, fetchesAtOnce), uid: uid16(),
		writeErr: errConnecting, readErr: errConnecting,
	}
	s.deliverer = deliverer{s: s, others: make(map[string]uint64)}
	s.asks = newSharded(o)
	s.asks.mode, s.asks.kind, s.asks.packed = Static, subChannel, true
	if o.ShardedPubSub {
		s.asks.kind = subShard
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// join implements [driver].
func (s *streams) join(a *Adapter, node hub.Node) error {
	s.a, s.l = a, a.link
	if err := s.asks.join(a, node); err != nil {
		return err
	}
	// What is kept of rooms is where the stream is: a script reaches both.
	a.rooms.slot = func(string, string) string { return s.key }
	var ok bool
	if s.node, ok = node.(hub.Ordered); !ok { // a hub that asks questions alone
		s.writeErr, s.readErr = nil, nil
		return nil
	}
	s.wg.Go(s.write)
	s.wg.Go(s.read)
	s.wg.Go(s.deliverer.run)
	return nil
}

// close implements [driver]. What is not in the stream is added if Redis is there.
func (s *streams) close() error {
	s.mu.Lock()
	s.closed = true
	up := s.writeErr == nil
	s.mu.Unlock()
	close(s.drain)
	if up {
		end := time.AfterFunc(s.l.opts.timeout, s.cancel)
		defer end.Stop()
		s.awaitWritten()
	}
	s.cancel()
	s.wg.Wait()
	return s.asks.close()
}

// client is one of the server at addr, whose connections end with ctx: go-redis does not leave a read that hangs, in XREAD
// for example, when its context ends.
func (s *streams) client(ctx context.Context, addr string) *goredis.Client {
	opt := *s.l.topo.node(addr).Options()
	ended := ctx
	dial := opt.Dialer
	opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return endingConn{conn, context.AfterFunc(ended, func() { _ = conn.Close() })}, nil
	}
	return goredis.NewClient(&opt)
}

// endingConn is a connection that something else may close.
type endingConn struct {
	net.Conn
	stop func() bool
}

func (c endingConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// awaitWritten returns when all is in the stream, or cannot be.
func (s *streams) awaitWritten() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		done := s.written == len(s.pending) || s.writeErr != nil
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// ready is nil when the stream is written and read.
func (s *streams) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return s.writeErr
	}
	return s.readErr
}

func (s *streams) message(channel string, body []byte) { s.asks.message(channel, body) }

func (s *streams) send(r *hub.NodeRequest, reply func(hub.NodeReply)) (cancel func() (silent []string), err error) {
	return s.asks.send(r, reply)
}

// Origin implements [hub.Sequencer].
func (s *streams) Origin() string { return s.uid }

// Sequence implements [hub.Sequencer].
func (s *streams) Sequence(r *hub.NodeRequest) {
	if r.Keep != nil { // as in Adapter.Send; but the publisher's own id is noted when the message is in the stream
		kept, k := *r, *r.Keep
		k.Window = 0
		kept.Keep = &k
		s.a.rooms.keep("", "", nil, &kept, nil)
	}
	p := &pendingEntry{r: r, size: sizeOf(r), at: time.Now()}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.l.count(reasonClosed)
		return
	}
	s.n++
	p.n = s.n
	full := len(s.pending)-s.written >= s.l.opts.queueLen || s.bytes+p.size > s.l.opts.queueBytes
	if !full {
		s.bytes += p.size
	}
	s.pending = append(s.pending, p)
	if full {
		// The oldest that is done here goes: its node's clients have it, the others miss it. Without one this one waits
		// for nothing, and is done here alone.
		s.dropUnwritten()
	}
	s.mu.Unlock()
	signal(s.wake)
	signal(s.kick)
}

// dropUnwritten makes room for the newest of pending, which has come although there was none. Under mu.
func (s *streams) dropUnwritten() {
	s.l.count(reasonStreamFull)
	p := s.pending[s.written]
	if len(s.pending)-s.written > 1 && p.early {
		s.bytes += s.pending[len(s.pending)-1].size - p.size
		s.pending = slices.Delete(s.pending, s.written, s.written+1)
		return
	}
	last := s.pending[len(s.pending)-1]
	s.pending = s.pending[:len(s.pending)-1]
	s.deliverer.alone = append(s.deliverer.alone, last)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sizeOf is about what a message takes in the stream.
func sizeOf(r *hub.NodeRequest) int {
	n := 200 + len(r.Payload.JSON)
	for _, b := range r.Payload.Attachments {
		n += len(b) * 4 / 3
	}
	for _, list := range [2][]string{r.Rooms, r.Except} {
		for _, name := range list {
			n += len(name) + 3
		}
	}
	return n
}

// down reports whether Redis is away, as far as is known.
func (s *streams) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := func(err error) bool { return err != nil && err != errConnecting }
	return bad(s.writeErr) || bad(s.readErr)
}

func (s *streams) connected(err *error, now error) {
	s.mu.Lock()
	was := *err
	*err = now
	s.mu.Unlock()
	if (was == nil) != (now == nil) {
		signal(s.kick)
	}
}

// The reasons that streams count by, beside those of the link.
const (
	reasonStreamFull    = "redis_stream_full"       // too much waits to be added
	reasonStreamGap     = "redis_stream_gap"        // entries were trimmed, or lost, before this node had read them
	reasonStreamDouble  = "redis_stream_double"     // an entry that was added twice, of which the second was left out
	reasonStreamBad     = "redis_stream_bad"        // an entry that nobody understands
	reasonStreamMissing = "redis_stream_missing"    // an own entry that should have come back, and has not
	reasonStreamEarly   = "redis_stream_early"      // a message that was done before it had its place
	reasonOwnRoom       = "redis_own_room_refused"  // another program names a room of the hub's own
	reasonBadSession    = "redis_session_bad"       // what is saved of a session is not understood
	reasonSessionLost   = "redis_session_not_saved" // Redis did not take it
	reasonSessionTaken  = "redis_session_not_ours"  // another node has taken it over, or it has expired
)

// deliverer gives the hub what is next. Its fields are its goroutine's, but for alone.
type deliverer struct {
	s       *streams
	started bool
	apart   bool   // own messages are done without waiting for their places
	ahead   uint64 // the newest that was, until it is read back
	others  map[string]uint64

	alone []*pendingEntry // those that are never added; under streams.mu
}

// maxOthers bounds the nodes whose newest entry is remembered.
const maxOthers = 1000

func (d *deliverer) run() {
	s := d.s
	tick := time.NewTicker(streamPatience / 4)
	defer tick.Stop()
	for {
		select {
		case b := <-s.batches:
			d.take(b)
		case <-s.kick:
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		d.hurry()
	}
}

// hurry does own messages without their places, if they have waited for too long.
func (d *deliverer) hurry() {
	s := d.s
	down := s.down()
	var now []*pendingEntry
	s.mu.Lock()
	now, d.alone = d.alone, nil
	waited := time.Duration(0)
	if len(s.pending) > 0 {
		waited = time.Since(s.pending[0].at)
	}
	switch {
	case down || waited > streamPatience:
		d.apart = true
	case d.apart && (len(s.pending) == 0 || s.written == len(s.pending) && waited < streamPatience/2):
		d.apart = false
	}
	if d.apart {
		for i := len(s.pending) - 1; i >= 0 && !s.pending[i].early; i-- {
			now = append(now, s.pending[i])
		}
	}
	last := s.last
	s.mu.Unlock()
	if len(now) == 0 {
		return
	}
	slices.SortFunc(now, func(a, b *pendingEntry) int { return int(int64(a.n - b.n)) })
	d.start(last)
	for _, p := range now {
		s.l.count(reasonStreamEarly)
		p.early, d.ahead = true, p.n
		s.node.Deliver(&hub.Entry{
			Offset: hub.Offset{Place: last, From: s.uid, Ahead: p.n}, Origin: s.uid, N: p.n, Early: true, Request: p.r,
		})
	}
}

// start tells the hub where the node begins, once.
func (d *deliverer) start(p hub.Place) {
	if !d.started {
		d.started = true
		d.s.node.Skip(p, false)
	}
}

// take does what was read.
func (d *deliverer) take(b batchRead) {
	s := d.s
	switch {
	case b.lost:
		s.l.count(reasonStreamGap)
		s.l.log.Warn("redis: messages of other nodes are lost, the stream does not have them any more", "stream", s.key)
		d.started = true
		s.node.Skip(b.from, true)
		d.at(b.from)
	case b.begin:
		if d.started {
			s.node.Skip(b.from, false)
		}
		d.start(b.from)
		d.at(b.from)
	}
	for i := range b.entries {
		d.entry(&b.entries[i])
	}
}

func (d *deliverer) at(p hub.Place) {
	d.s.mu.Lock()
	d.s.last = p
	d.s.mu.Unlock()
}

func (d *deliverer) entry(x *streamEntry) {
	s := d.s
	defer d.at(x.place)
	if x.bad {
		s.l.count(reasonStreamBad)
		return
	}
	e := hub.Entry{Offset: hub.Offset{Place: x.place}, Origin: x.uid, N: x.n}
	if x.uid == s.uid {
		p := d.returned(x.n)
		if p == nil {
			return
		}
		if x.n >= d.ahead {
			d.ahead = 0
		}
		void := x.kind == msgReplaced && p.r.Op != hub.OpReplaced // another node has published it under the same id
		if void {
			s.l.count(reasonPublished)
		}
		if p.early {
			s.node.Settle(x.n, x.place)
			return
		}
		if e.Request = p.r; void {
			e.Request = &hub.NodeRequest{Op: hub.OpReplaced, Namespace: p.r.Namespace}
		}
		d.deliver(&e)
		return
	}
	if x.n > 0 {
		if x.n <= d.others[x.uid] {
			s.l.count(reasonStreamDouble)
			return
		}
		if _, known := d.others[x.uid]; !known && len(d.others) >= maxOthers {
			clear(d.others)
		}
		d.others[x.uid] = x.n
	}
	list, err := x.requests()
	if err != nil {
		s.l.count(err.reason)
		return
	}
	for _, r := range list {
		if r.Op == hub.OpEmit && s.node.KeepsFor() == 0 && !s.node.Hears(r.Namespace, r.Rooms) {
			continue
		}
		e := e
		e.Request = r
		d.deliver(&e)
	}
}

func (d *deliverer) deliver(e *hub.Entry) {
	if d.ahead > 0 {
		e.From, e.Ahead = d.s.uid, d.ahead
	}
	d.s.node.Deliver(e)
}

// returned takes the own message n, which was read back, from those that are pending. nil: it was read before.
func (d *deliverer) returned(n uint64) *pendingEntry {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > 0 {
		p := s.pending[0]
		if p.n > n {
			break
		}
		if s.written > 0 {
			s.written--
		} else {
			s.bytes -= p.size
		}
		s.pending[0] = nil
		s.pending = s.pending[1:]
		if p.n == n {
			return p
		}
		s.l.count(reasonStreamMissing)
	}
	s.l.count(reasonStreamDouble)
	return nil
}
