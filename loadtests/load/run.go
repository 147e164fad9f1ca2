package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"greenroom/coop"
)

// Run measures a peer. It starts it if it has a Command, and stops it in the end. When ctx is done the run ends early, and the
// result says so. A *[FaultError] says that messages went wrong; the result counts with it, as with every error
// that comes after the measurement has begun.
func Run(ctx context.Context, p Plan, peer Peer) (Result, error) {
	r, err := newRun(p, peer)
	if err != nil {
		return Result{}, err
	}
	return r.run(ctx)
}

// run is [Run]; once only.
func (r *run) run(ctx context.Context) (Result, error) {
	if err := checkDescriptors(r.descriptors()); err != nil {
		return Result{}, err
	}
	stop, err := r.peer.start(ctx)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	r.request = upgradeRequest(r)
	err = coop.RunWith(coop.LoopOptions{Name: "load", OnPanic: r.onPanic}, func(g *coop.Greenlet) error { return r.main(ctx, g) })
	close(r.over)
	r.pacer.Wait()
	return r.result, err
}

// A run is one measurement. What is not said to be otherwise belongs to the loop.
type run struct {
	plan    Plan
	peer    Peer
	dialect dialect
	start   time.Time // of the run's clock
	request []byte    // that opens a WebSocket
	loop    *coop.Loop

	users []*user // those that have connected
	lanes []*lane
	text  []byte // of messages, but for the numbers
	buf   []byte // for sending

	// publishing
	every  time.Duration // 0: as the window allows
	nextAt time.Duration // paced: when the next message is due
	turn   int           // paced: whose it is
	ready  []*lane       // lanes whose window has room
	wake   coop.Event    // there is something to send
	idle   bool          // nothing more is to be sent
	open   int           // messages under way
	over   chan struct{} // closed at the end; any goroutine
	pacer  sync.WaitGroup

	// receiving
	arrived time.Duration // when a message last did
	reads   int           // since the last nap
	napping bool          // Flush is queued
	flate   flateMemory

	// ending
	broken      coop.Event     // err is set, or interrupted
	connecting  *coop.Greenlet // the run's, before it measures
	err         error
	interrupted bool

	faults   Faults
	meter    meter
	inflated uint64
	result   Result
}

func newRun(p Plan, peer Peer) (*run, error) {
	p, err := p.filled()
	if err != nil {
		return nil, err
	}
	set(&peer.Protocol, EIO4)
	if len(peer.Command) > 0 && !strings.Contains(strings.Join(peer.Command, " "), "{port}") {
		return nil, fmt.Errorf("the command %q lacks {port}", strings.Join(peer.Command, " "))
	}
	if len(peer.Command) == 0 {
		if _, _, err := net.SplitHostPort(peer.Addr); err != nil {
			return nil, fmt.Errorf("address %q: want host:port", peer.Addr)
		}
		set(&peer.Name, peer.Addr)
	} else {
		set(&peer.Name, peer.Command[0])
	}
	d, err := newDialect(peer.Protocol)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Transport == Polling && peer.Protocol == Centrifuge:
		return nil, errors.New("centrifuge has no polling that this generator speaks")
	case p.Mode == Echo && peer.Protocol == Relay:
		return nil, errors.New("the protocol relay has no echo")
	}
	set(&peer.Path, d.path())
	if p.Mode != Fanout {
		p.Gather = 0 // answers to one client are not the work of one moment
	}
	return &run{
		plan: p, peer: peer, dialect: d, start: time.Now(), every: p.every(), text: newText(p.Size), over: make(chan struct{}),
		meter: newMeter(), result: Result{Peer: peer.Name, Protocol: peer.Protocol, Plan: p, Unit: p.unit()},
	}, nil
}

// descriptors is how many of them the run needs, some for the program itself included.
func (r *run) descriptors() int {
	n := r.plan.Clients
	if r.plan.Transport == Polling {
		n *= 2
	}
	return n + 2*min(r.plan.Dialing, r.plan.Clients) + 64
}

// target is what a request of the given transport asks for.
func (r *run) target(transport string) string {
	if q := r.dialect.query(transport); q != "" {
		return r.peer.Path + "?" + q
	}
	return r.peer.Path
}

// now is the run's clock.
func (r *run) now() time.Duration { return time.Since(r.start) }

// fail ends the run for the first reason that is given.
func (r *run) fail(err error) {
	if r.err == nil && !r.idle {
		r.err = err
	}
	r.breakOff()
}

// breakOff ends the waiting of the run's greenlet. One that connects waits for much, and has nothing to report.
func (r *run) breakOff() {
	r.broken.Set()
	if r.connecting != nil {
		r.connecting.Kill()
	}
}

func (r *run) onPanic(_ *coop.Loop, err *coop.PanicError) { r.fail(err) }

// stalledAfter ends a run in which nothing arrives any more although messages are under way.
const stalledAfter = 5 * time.Second

// main is the run, in a greenlet. What it leaves running ends with the loop.
func (r *run) main(ctx context.Context, g *coop.Greenlet) error {
	r.loop = g.Loop()
	defer context.AfterFunc(ctx, func() { r.loop.Post(r.interrupt) })()
	r.connecting = g
	err := r.connectAll(g)
	r.connecting = nil
	defer r.closeAll()
	switch {
	case r.err != nil:
		return r.err
	case r.interrupted:
		return errInterrupted
	case err != nil:
		return err
	}
	if r.plan.Mode == Connect {
		r.storm(g)
	} else if r.plan.Mode != Idle {
		r.publish(g)
	}
	if err := r.wait(g, r.plan.WarmUp); err != nil {
		return err
	}
	if r.interrupted {
		return errInterrupted
	}
	if err := r.measure(g); err != nil {
		return err
	}
	r.drain(g)
	return r.finish()
}

func (r *run) interrupt() {
	r.interrupted = true
	r.breakOff()
}

// wait parks g for d, or until the run is broken: by an error, which is returned, or by an interruption.
func (r *run) wait(g *coop.Greenlet, d time.Duration) error {
	if err := g.AtMost(d, func() error { return r.broken.Wait(g) }); err != nil {
		return err
	}
	return r.err
}

// measure counts for the plan's duration. When it fails on the way, what was counted stays in the result.
func (r *run) measure(g *coop.Greenlet) error {
	if err := r.meter.begin(r); err != nil {
		return err
	}
	r.result.Began = time.Now()
	r.arrived = r.now()
	end := r.meter.began + r.plan.Duration
	var err error
	for err == nil && !r.interrupted && r.now() < end {
		next := min(end, r.meter.last+time.Second)
		if err = r.wait(g, max(next-r.now(), 0)); err != nil {
			break
		}
		if r.now() >= next || r.interrupted {
			if s, ok := r.meter.sample(r); ok && r.plan.Progress != nil {
				r.plan.Progress(s)
			}
		}
		err = r.stalled()
	}
	if endErr := r.meter.end(r); err == nil {
		err = endErr
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	if r.err != nil && !errors.As(r.err, new(*stallError)) {
		r.result.Faults = r.faults // those that are missing are not known
		return r.err
	}
	return nil
}

// A stallError says that a server has stopped delivering.
type stallError struct {
	messages int
}

func (e *stallError) Error() string {
	return fmt.Sprintf("nothing has arrived for %s, and %d messages are under way", stalledAfter, e.messages)
}

func (r *run) stalled() error {
	if r.open > 0 && r.now()-r.arrived > stalledAfter {
		return &stallError{r.open}
	}
	return nil
}

// drain lets arrive what is under way.
func (r *run) drain(g *coop.Greenlet) {
	r.idle = true
	r.meter.tail = true
	defer func() { r.result.Latency = latencyOf(r.meter.total) }()
	const look = 5 * time.Millisecond
	for quiet := r.arrived; r.open > 0 && r.now()-max(quiet, r.arrived) < stalledAfter && r.err == nil; {
		if g.Sleep(look) != nil {
			return
		}
	}
}

// finish counts what never came.
func (r *run) finish() error {
	for _, u := range r.users {
		if u.lane != nil {
			r.faults.Missing += u.missing(u.lane.sent)
		}
	}
	r.result.Faults = r.faults
	r.result.Interrupted = r.interrupted
	if !r.faults.Any() {
		return r.err
	}
	return errors.Join(r.err, &FaultError{r.faults})
}

func (r *run) closeAll() {
	r.idle = true
	for _, u := range r.users {
		u.link.close()
	}
}
