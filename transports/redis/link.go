package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// linkOptions configure a [link].
type linkOptions struct {
	timeout    time.Duration // of connecting, of each answer; a server that is silent for longer is away
	pingEvery  time.Duration // how long a connection may be silent before it is asked whether it lives
	messageAge time.Duration // how long a message may wait to be published
	maxMessage int           // bytes of a message that is received
	queueLen   int           // commands that wait, at most
	queueBytes int
	clientName string // of our connections, for CLIENT LIST
	optional   string // a channel without which this node is ready all the same
}

func (o linkOptions) withDefaults() linkOptions {
	if o.timeout == 0 {
		o.timeout = defaultTimeout
	}
	if o.pingEvery == 0 {
		o.pingEvery = time.Second
	}
	if o.messageAge == 0 {
		o.messageAge = 5 * time.Second
	}
	if o.maxMessage == 0 {
		o.maxMessage = 64 << 20
	}
	if o.queueLen == 0 {
		o.queueLen = 100_000
	}
	if o.queueBytes == 0 {
		o.queueBytes = 64 << 20
	}
	if o.clientName == "" {
		o.clientName = "greenroom"
	}
	return o
}

// link is an adapter's connection to Redis: one or more servers, of which each has one connection for commands and one
// for subscriptions. It connects by itself, and again, and subscribes again; what has been asked for while Redis is
// away waits, within bounds. All methods may be called from any goroutine, and only subscribers blocks.
type link struct {
	opts      linkOptions
	topo      topology
	log       *slog.Logger
	count     func(reason string)
	onMessage func(channel string, body []byte) // from the goroutine that reads the connection; body is valid during the call only

	ctx    context.Context // ends when all goroutines have to
	cancel context.CancelFunc
	drain  chan struct{} // closed when nothing more is taken
	look   chan struct{} // has a buffer of one: a Cluster may have changed
	wg     sync.WaitGroup

	published, received atomic.Uint64
	refusing            atomic.Bool // refusals has something

	mu       sync.Mutex
	closed   bool
	asked    uint64          // commands
	held     map[int]*writer // slots that have another owner now, by who has earlier commands under way, see shift
	writers  map[string]*writer
	readers  map[string]*subscriber
	wishes   map[subKey]*wish
	refusals map[string]refusal // by command
	status   status
}

// refusal is an error that Redis has answered to a command, of late.
type refusal struct {
	err error
	at  time.Time
}

// refusalCounts is how long a refusal means that this node is not ready: it may be that the command is not sent again.
const refusalCounts = 15 * time.Second

// wish is a subscription as the adapter wants it.
type wish struct {
	at      *subscriber
	waiting []func()
	moves   int // how often it was sent elsewhere since it was confirmed, or refused, last
}

// newLink connects. It returns at once; [link.ready] tells.
func newLink(topo topology, opts linkOptions, log *slog.Logger, count func(reason string), onMessage func(channel string, body []byte)) *link {
	l := &link{
		opts: opts.withDefaults(), topo: topo, log: log, count: count, onMessage: onMessage,
		drain: make(chan struct{}), look: make(chan struct{}, 1), writers: make(map[string]*writer), readers: make(map[string]*subscriber),
		held: make(map[int]*writer), wishes: make(map[subKey]*wish), refusals: make(map[string]refusal),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer("")
	l.reader("")
	if _, ok := topo.(*cluster); ok {
		l.wg.Go(l.follow)
	}
	return l
}

// writer returns the one for a node, and starts it. Under l.mu.
func (l *link) writer(addr string) *writer {
	w := l.writers[addr]
	if w == nil {
		w = newWriter(l, addr)
		l.writers[addr] = w
		l.wg.Go(w.run)
	}
	return w
}

// reader returns the one for a node, and starts it. Under l.mu.
func (l *link) reader(addr string) *subscriber {
	s := l.readers[addr]
	if s == nil {
		s = newSubscriber(l, addr)
		l.readers[addr] = s
		l.wg.Go(s.run)
	}
	return s
}

// publish sends body to channel, by SPUBLISH if sharded. The body is the link's from now on. It never blocks: when
// there is no room for it, or when it could not be sent in time, it is dropped and counted.
func (l *link) publish(sharded bool, channel string, body []byte) {
	c := command{size: len(channel) + len(body)}
	if sharded {
		c.cmd, c.key = goredis.NewIntCmd(l.ctx, "SPUBLISH", channel, body), channel
	} else {
		c.cmd = goredis.NewIntCmd(l.ctx, "PUBLISH", channel, body)
	}
	l.enqueue(c)
}

// enqueue has c done after all that was asked for before, by publish too. It never blocks. c.done learns the result:
// of Redis, or errClosed, errQueueFull, errTooOld, which mean that it was not done, or errUnanswered, after which
// nobody knows.
func (l *link) enqueue(c command) {
	c.until = time.Now().Add(max(c.keep, l.opts.messageAge))
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.drop(&c, reasonClosed)
		return
	}
	l.asked++
	c.seq = l.asked
	var w *writer
	if len(l.held) > 0 && c.key != "" {
		w = l.held[slotOf(c.key)]
	}
	if w == nil {
		w = l.writer(l.topo.owner(c.key))
	}
	if w.queue.len() >= l.opts.queueLen || w.queue.bytes+c.size > l.opts.queueBytes {
		l.mu.Unlock()
		l.drop(&c, reasonQueueFull)
		return
	}
	w.queue.push(c)
	l.mu.Unlock()
	w.signal()
}

// next takes a batch for w. What has waited too long is dropped, since a server may be slow and never away.
func (l *link) next(w *writer, batch []command) []command {
	now := time.Now()
	l.mu.Lock()
	batch, old := w.queue.take(batch, batchCommands, batchBytes, now)
	batch = w.queue.oneAsking(batch)
	w.flying = batch
	l.mu.Unlock()
	for i := range old {
		l.drop(&old[i], reasonTooOld)
	}
	return batch
}

// back gives commands back that have to be sent again.
func (l *link) back(w *writer, batch []command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.gone && !l.closed {
		l.forward(batch)
		return
	}
	w.queue.back(batch)
}

// expire drops what has waited too long.
func (l *link) expire(w *writer) {
	l.mu.Lock()
	old := w.queue.expire(time.Now())
	l.mu.Unlock()
	for i := range old {
		l.drop(&old[i], reasonTooOld)
	}
}

// abandon drops what w has not sent. The link is being closed.
func (l *link) abandon(w *writer) {
	l.mu.Lock()
	rest := w.queue.remove(func(*command) bool { return true })
	l.mu.Unlock()
	for i := range rest {
		l.drop(&rest[i], reasonClosed)
	}
}

// drop ends a command that was not done, or of which nobody knows.
func (l *link) drop(c *command, reason string) {
	l.count(reason)
	if c.done == nil {
		return
	}
	switch err := dropErrors[reason]; {
	case err == nil: // the server's own
	case c.cmd.Err() != nil:
		c.cmd.SetErr(fmt.Errorf("%w: %w", err, c.cmd.Err()))
	default:
		c.cmd.SetErr(err)
	}
	c.done(c.cmd)
}

// succeeded notes that Redis has done c.
func (l *link) succeeded(c *command) {
	if _, ok := c.cmd.(*goredis.IntCmd); ok {
		l.published.Add(1)
	}
	if !l.refusing.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.refusals[c.cmd.Name()]; ok {
		delete(l.refusals, c.cmd.Name())
		l.refusing.Store(len(l.refusals) > 0)
		l.tell()
	}
}

// refused notes that Redis has answered c with an error.
func (l *link) refused(c *command, err error) {
	if c.optional {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals[c.cmd.Name()] = refusal{err, time.Now()}
	l.refusing.Store(true)
	l.tell()
}

// subscribe has messages of the channels, or of all that the patterns match, come to onMessage, from when the server has
// confirmed it, after each reconnection too.
func (l *link) subscribe(kind subKind, channels ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, channel := range channels {
		key := subKey{kind, channel}
		if l.wishes[key] != nil {
			continue
		}
		addr := ""
		if kind == subShard {
			addr = l.topo.owner(channel)
		}
		w := &wish{at: l.reader(addr)}
		l.wishes[key] = w
		w.at.subs.want(key, true)
		w.at.signal()
	}
	l.tell()
}

// unsubscribe ends that.
func (l *link) unsubscribe(kind subKind, channels ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, channel := range channels {
		key := subKey{kind, channel}
		w := l.wishes[key]
		if w == nil {
			continue
		}
		delete(l.wishes, key)
		w.at.subs.want(key, false)
		w.at.signal()
	}
	l.tell()
}

// subscribed calls fn once the server has confirmed the subscription: at once if it has, otherwise from the goroutine
// that reads. It is not called if there is no such subscription, or if that is ended before.
func (l *link) subscribed(kind subKind, channel string, fn func()) {
	key := subKey{kind, channel}
	l.mu.Lock()
	w := l.wishes[key]
	if w != nil && !w.at.subs.has(key) {
		w.waiting = append(w.waiting, fn)
		w = nil
	}
	l.mu.Unlock()
	if w != nil {
		fn()
	}
}

// subscribers is how many connections are subscribed to the channel.
func (l *link) subscribers(ctx context.Context, sharded bool, channel string) (int, error) {
	return l.topo.subscribers(ctx, sharded, channel)
}

// client is for whatever has no order to keep.
func (l *link) client() goredis.UniversalClient { return l.topo.universal() }

// ready is nil when Redis can be reached and every subscription that is wanted is confirmed.
func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.check()
}

// stats counts.
func (l *link) stats() Stats {
	s := Stats{Published: l.published.Load(), Received: l.received.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.writers {
		s.Queued += w.queue.len()
		s.QueuedBytes += w.queue.bytes
	}
	s.Subscriptions = len(l.wishes)
	for _, r := range l.readers {
		s.Unconfirmed += r.subs.missing
	}
	return s
}

// check is ready. Under l.mu.
func (l *link) check() error {
	if l.closed {
		return errClosed
	}
	var away error
	for addr, w := range l.writers {
		if w.err != nil && (addr == "" || w.queue.len() > 0) {
			away = telling(away, w.err)
		}
	}
	for _, s := range l.readers {
		if s.conn == nil {
			away = telling(away, s.err)
		}
	}
	if away != nil {
		return away
	}
	missing := 0
	for _, s := range l.readers {
		if s.subs.missing > 0 && s.refusal != nil {
			return fmt.Errorf("redis: refuses a subscription: %w", s.refusal)
		}
		missing += s.subs.missing
	}
	for _, r := range l.refusals {
		if time.Since(r.at) < refusalCounts {
			return fmt.Errorf("redis: refuses: %w", r.err)
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d of %d are missing", errSubscribing, missing, len(l.wishes))
	}
	return nil
}

// telling is the error of two that says more: what Redis has answered rather than that a connection has ended.
func telling(a, b error) error {
	var said goredis.Error
	switch {
	case a == nil:
		return b
	case errors.As(a, &said), b == nil, a != errConnecting && !errors.As(b, &said):
		return a
	}
	return b
}

// closing reports whether goroutines have to end.
func (l *link) closing() bool { return l.ctx.Err() != nil || isClosed(l.drain) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// close sends what can be sent at once, and disconnects.
func (l *link) close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.drain)
	var live []*writer
	for _, w := range l.writers {
		if w.err == nil {
			live = append(live, w)
		}
	}
	l.mu.Unlock()

	end := time.AfterFunc(l.opts.timeout, l.stop)
	for _, w := range live {
		w.signal()
		<-w.done
	}
	end.Stop()
	l.stop()
	l.wg.Wait()
}

func (l *link) stop() {
	l.cancel()
	l.topo.close()
}
