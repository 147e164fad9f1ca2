package adminui

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/engineio"
)

// Admin shows a hub to administrators. Any goroutine.
type Admin struct {
	hub      *hub.Hub
	ns       *hub.Namespace
	log      *slog.Logger
	opts     Options
	features []string
	commands map[string]func(*hub.Event) error // those that are offered

	logins logins
	tries  tries
	books  []book  // by loop
	crowds []crowd // by loop; in Development only

	here      atomic.Int64 // administrators on this node
	closed    atomic.Bool
	started   time.Time
	hostname  string
	pid       int
	cancels   []func()
	timer     *coop.Timer // of the reports; on the first loop
	closeOnce sync.Once
}

// book counts what happens on one loop since the last report.
type book struct {
	mu    sync.Mutex
	rows  []row         // one for each second
	shown *rate.Limiter // of events
	_     [64]byte      // a cache line of its own
}

// New makes h's sessions visible to administrators, and its namespace for them, which must not be in use. It fails when
// the options make no sense.
func New(h *hub.Hub, o Options) (*Admin, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	loops := h.Loops().All()
	a := &Admin{
		hub: h, log: h.Options().Logger, opts: o,
		books:   make([]book, len(loops)),
		started: time.Now(), hostname: hostname(), pid: os.Getpid(),
	}
	a.logins.init(o.SessionTime)
	a.tries.init()
	a.offer()
	for i := range a.books {
		a.books[i].shown = rate.NewLimiter(rate.Limit(o.EventRate), o.EventRate)
	}
	if h.HasNamespace(o.Namespace) {
		return nil, fmt.Errorf("adminui: namespace %q: %w", o.Namespace, hub.ErrHandled)
	}
	a.ns = h.Of(o.Namespace)
	if o.Mode == Development {
		a.crowds = make([]crowd, len(loops))
		for i := range a.crowds {
			a.crowds[i].sessions = make(map[*hub.Session]struct{})
		}
		a.cancels = append(a.cancels, h.Observe(a.watcher()))
	}
	for _, e := range o.Engines {
		a.cancels = append(a.cancels, e.Observe(a.traffic()))
	}
	if !o.Open {
		a.ns.Use(a.admit)
	}
	if err := h.Handle(o.Namespace, a.serve); err != nil { // the last thing: now administrators are let in
		a.stop()
		return nil, fmt.Errorf("adminui: %w", err)
	}
	loops[0].Post(func() {
		if !a.closed.Load() {
			a.timer = loops[0].AfterFunc(o.Interval, a.report)
		}
	})
	return a, nil
}

// Close stops showing anything, and sends the administrators away. Those who come later are sent
// away as well: a namespace cannot be taken back.
func (a *Admin) Close() {
	a.closeOnce.Do(func() {
		a.closed.Store(true)
		a.stop()
		a.hub.Loops().All()[0].Post(func() {
			if a.timer != nil {
				a.timer.Stop()
			}
		})
		a.ns.To().Local().Disconnect("server namespace disconnect")
	})
}

// stop stops watching.
func (a *Admin) stop() {
	for _, cancel := range a.cancels {
		cancel()
	}
}

// serve is one administrator.
func (a *Admin) serve(s *hub.Session) error {
	if a.closed.Load() {
		return nil
	}
	a.here.Add(1)
	defer a.here.Add(-1)
	if id, ok := s.Data.(login); ok {
		if err := s.Emit("session", string(id)); err != nil {
			return err
		}
	}
	if err := s.Emit("config", config{a.features}); err != nil {
		return err
	}
	if a.opts.Mode == Development {
		if err := a.showAll(s); err != nil {
			return err
		}
	}
	for ev := range s.Events() {
		a.command(ev)
	}
	return nil
}

// config is what the pages offer.
type config struct {
	SupportedFeatures []string `json:"supportedFeatures"`
}

// heard reports whether there may be anybody to tell.
func (a *Admin) heard() bool { return a.here.Load() > 0 || a.hub.Options().Adapter != nil }

// tell tells all administrators.
func (a *Admin) tell(event string, args ...any) {
	if err := a.ns.To().Emit(event, args...); err != nil { // all arguments are our own
		a.log.Error("administrators cannot be told", "event", event, "error", err)
	}
}

// traffic counts what the connections do.
func (a *Admin) traffic() engineio.Observer {
	page := func(s *engineio.Socket) *book { return &a.books[s.Loop().ID()] }
	return engineio.Observer{
		Opened:   func(s *engineio.Socket) { page(s).opened() },
		Closed:   func(s *engineio.Socket, reason string) { page(s).closed(reason) },
		Received: func(s *engineio.Socket, n int) { page(s).carried(packetsIn, bytesIn, n) },
		Sent:     func(s *engineio.Socket, n int) { page(s).carried(packetsOut, bytesOut, n) },
	}
}
