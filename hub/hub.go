package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/coop"
)

// saturation is the number of room messages posted to loops and not yet delivered above which
// [Hub.Saturated] tells ingress to pause: some milliseconds of work.
const saturation = 4096

// Hub joins sessions, rooms and namespaces. Make one with [New]; its methods may be called from any
// goroutine. Close ends its loops and with them all sessions.
type Hub struct {
	opts     Options
	log      *slog.Logger
	loops    *coop.Loops
	counters counters
	dedup    dedup
	retained retained
	epoch    string      // names this run of the hub
	shared   SharedRooms // nil where nodes share nothing
	announce announcer   // of who is here to other nodes
	catch    catcher     // of what other nodes have said and was lost
	ownLater bool        // publications of this node have their place in its rooms only when they come back to it

	metaEpoch string      // epoch where there are other nodes, else ""
	rooms     RoomAdapter // nil: every message of other nodes comes

	sequencer Sequencer // nil: each node has an order of its own
	order     progress

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	families   []*Family
	children   int // namespaces made for families

	taps           atomic.Pointer[[]*tap]
	tapsMu         sync.Mutex
	observers      atomic.Pointer[[]*Observer]
	watches        atomic.Pointer[[]*roomWatch]
	prefixWatches  atomic.Pointer[[]*roomWatch]
	sessionWatches atomic.Pointer[[]*sessionWatch]
	counts         atomic.Pointer[[]*countWatch]
	observersMu    sync.Mutex // for changes of these lists
	wants          wants

	inFlight atomic.Int64 // deliveries posted to loops and not yet run
	sessions atomic.Int64
	seqFloor atomic.Uint64 // no room of a namespace that is gone has had a higher seq; changed with mu held
	closed   atomic.Bool
	closing  sync.Once
	closeErr error
	now      func() time.Time

	quit, released chan struct{} // of the goroutine of Options.ReleaseMemory, or nil
}

// New starts a hub with its loops.
func New(o Options) (*Hub, error) {
	o = o.withDefaults()
	h := &Hub{opts: o, log: o.Logger, epoch: NewID()[:8], namespaces: make(map[string]*Namespace), now: time.Now}
	if o.Clock != nil {
		start := time.Now().Add(-o.Clock.Now())
		h.now = func() time.Time { return start.Add(o.Clock.Now()) }
	}
	h.dedup.init(o.DedupWindow, o.DedupMax)
	loops, err := coop.NewLoops(o.Loops, coop.LoopOptions{
		Name: "hub", Clock: o.Clock, OnFailure: h.greenletFailed, OnPanic: h.callbackPanicked,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the hub's loops: %w", err)
	}
	h.loops = loops
	if o.Adapter != nil {
		h.metaEpoch = h.epoch
		h.shared, _ = o.Adapter.(SharedRooms)
		h.announce.hub, h.announce.most = h, maxUnannounced
		h.catch.hub = h
		h.rooms, _ = o.Adapter.(RoomAdapter)
		if a, ok := o.Adapter.(SequencedAdapter); ok {
			h.sequencer = a.Sequencer()
			h.ownLater = h.sequencer != nil
		}
		if err := o.Adapter.Join(node{h}); err != nil {
			return nil, errors.Join(fmt.Errorf("joining the other nodes: %w", err), loops.Close())
		}
	}
	if o.ReleaseMemory {
		h.quit, h.released = make(chan struct{}), make(chan struct{})
		go h.release()
	}
	return h, nil
}

// greenletFailed reports a session whose handler panicked. The session itself is cleaned up by its
// greenlet on the way out.
func (h *Hub) greenletFailed(g *coop.Greenlet, err error) {
	h.Count("handler_failed")
	var p *coop.PanicError
	id := strings.TrimPrefix(g.Name(), sessionGreenlet)
	if errors.As(err, &p) {
		h.log.Error("a session's handler panicked; its session ended", "session", id, "panic", p.Value, "stack", string(p.Stack))
		return
	}
	h.log.Error("a session's handler failed", "session", id, "error", err)
}

// callbackPanicked reports a panic outside of any greenlet: in a job, a timer or a transport's handler.
func (h *Hub) callbackPanicked(l *coop.Loop, p *coop.PanicError) {
	h.Count("callback_panicked")
	h.log.Error("a callback on a loop panicked", "loop", l.Name(), "panic", p.Value, "stack", string(p.Stack))
}

// Close ends all loops and sessions and waits for them. Transports should be closed first, so that
// clients are told. Every call waits for the same end. A handler cannot wait for that: it gets
// [coop.ErrOnLoop], and nothing is closed.
func (h *Hub) Close() error {
	if h.loops.Here() != nil {
		return coop.ErrOnLoop
	}
	h.closing.Do(func() {
		h.closed.Store(true)
		if h.quit != nil {
			close(h.quit)
			<-h.released
		}
		if a := h.opts.Adapter; a != nil {
			h.announce.close()
			h.closeErr = a.Close()
			h.catch.close() // it waits for what the adapter was asked
		}
		h.closeErr = errors.Join(h.closeErr, h.loops.Close())
		// A session whose greenlet was killed before it had begun could not take itself off the list.
		h.mu.RLock()
		defer h.mu.RUnlock()
		for _, ns := range h.namespaces {
			ns.removeAll()
		}
	})
	return h.closeErr
}

// Options returns the options in force, defaults filled in.
func (h *Hub) Options() Options { return h.opts }

// Node is this node's name, [Options].Node.
func (h *Hub) Node() string { return h.opts.Node }

// Loops are the hub's event loops, for transports to put connections on.
func (h *Hub) Loops() *coop.Loops { return h.loops }

// SessionCount is the number of sessions in all namespaces.
func (h *Hub) SessionCount() int { return int(h.sessions.Load()) }

// Saturated reports that room messages are coming in faster than loops deliver them. Ingress that
// can push back (a ZeroMQ PULL, an HTTP API) should stop reading for a moment.
func (h *Hub) Saturated() bool { return h.inFlight.Load() > saturation }

// Handle registers what runs for every session of a namespace: a func(*Session) error, straight-line
// code in the session's own greenlet, a table of [Events], or [Relay]. The namespace is created if need be.
// A handler of the wrong shape, and a second one for a namespace ([ErrHandled]), is an error and is logged
// as well.
func (h *Hub) Handle(namespace string, handler any) error {
	run, err := handlerFunc(handler)
	if err == nil && !validNamespace(namespace) {
		err = errors.New(`a namespace's name starts with "/" and has no comma`)
	}
	if err == nil && h.closed.Load() {
		err = ErrClosed
	}
	if err == nil {
		err = h.Of(namespace).setHandler(run)
	}
	if err != nil {
		err = fmt.Errorf("handler for namespace %q: %w", namespace, err)
		h.log.Error("not registered", "error", err)
	}
	return err
}

// HasNamespace reports whether a handler is registered for name.
func (h *Hub) HasNamespace(name string) bool {
	ns := h.lookup(name)
	return ns != nil && ns.run() != nil
}

// Of returns the namespace called name and creates it when it is new. Clients are let in once it has
// a handler.
func (h *Hub) Of(name string) *Namespace {
	if ns := h.lookup(name); ns != nil {
		return ns
	}
	ns, created := h.make(name)
	if created {
		h.tellNamespace(ns, ofNamespaceCreated)
	}
	return ns
}

func (h *Hub) make(name string) (ns *Namespace, created bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ns := h.namespaces[name]; ns != nil {
		return ns, false
	}
	ns = newNamespace(h, name)
	h.namespaces[name] = ns
	return ns, true
}

// Namespaces lists the namespaces there are, by name.
func (h *Hub) Namespaces() []*Namespace {
	h.mu.RLock()
	list := slices.Collect(maps.Values(h.namespaces))
	h.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Namespace) int { return strings.Compare(a.name, b.name) })
	return list
}

func (h *Hub) lookup(name string) *Namespace {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.namespaces[name]
}

// To addresses rooms (or sessions, by their ids) of the namespace "/". Without a name it addresses
// everybody. In is the same.
func (h *Hub) To(rooms ...string) Target { return h.Of("/").To(rooms...) }

// In is To, for readers who prefer `h.In("room").Leave(…)`.
func (h *Hub) In(rooms ...string) Target { return h.To(rooms...) }

func validNamespace(name string) bool {
	if len(name) == 0 || len(name) > 255 || name[0] != '/' {
		return false
	}
	for _, r := range name {
		if r == ',' || r < 0x20 {
			return false
		}
	}
	return true
}
