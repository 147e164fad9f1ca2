package hub

import (
	"regexp"
	"slices"
	"time"

	"greenroom/coop"
)

// Family makes namespaces as clients ask for them; see [Hub.HandleFamily]. Any goroutine.
type Family struct {
	hub   *Hub
	match func(name string, hs *Handshake) bool
	run   func(*Session) error
	use   []func(*Session) error // guarded by hub.mu
}

// HandleFamily registers what runs for the sessions of all namespaces that match accepts, and that have no handler
// of their own: a handler as [Hub.Handle] takes it. match is called on the loop of the client that asks for the
// namespace, and must not block or park; what takes time belongs into a middleware. Of several families the first
// that matches counts. Such a namespace is made for its first session and goes with its last, with the history of
// its rooms, unless [Options.KeepNamespaces] is set; with [Recovery], once the clients of its sessions cannot come back
// any more. Who has kept such a [Namespace] then holds one in which nobody is; [Hub.Of] gives the present one. At most
// [Options.MaxNamespaces] exist at once: clients that ask for more are refused. Node.js: io.of(regexp or function).
//
//	f, err := h.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), play)
func (h *Hub) HandleFamily(match func(name string, hs *Handshake) bool, handler any) (*Family, error) {
	run, err := handlerFunc(handler)
	if err == nil && h.closed.Load() {
		err = ErrClosed
	}
	if err != nil {
		h.log.Error("the handler of a family of namespaces was refused", "error", err)
		return nil, err
	}
	f := &Family{hub: h, match: match, run: run}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.families = append(slices.Clip(h.families), f) // adopt may read the old list
	return f, nil
}

// Matching is a match for [Hub.HandleFamily]: the names that a pattern matches. Without ^ and $ it matches within
// the name.
func Matching(pattern *regexp.Regexp) func(string, *Handshake) bool {
	return func(name string, _ *Handshake) bool { return pattern.MatchString(name) }
}

// Use adds a middleware, as [Namespace.Use] does, to the namespaces that are made from now on.
func (f *Family) Use(middleware func(*Session) error) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.use = append(slices.Clip(f.use), middleware)
}

// Namespaces lists the namespaces of the family that there are, by name.
func (f *Family) Namespaces() []*Namespace {
	return slices.DeleteFunc(f.hub.Namespaces(), func(ns *Namespace) bool { return ns.ofFamily() != f })
}

// Emit sends an event to everybody in all namespaces of the family that this node knows.
func (f *Family) Emit(event string, args ...any) error {
	if ReservedEvent(event) {
		return ErrReservedEvent
	}
	p, err := EncodeArgs(event, args...)
	if err != nil {
		return err
	}
	for _, ns := range f.Namespaces() {
		t := ns.To()
		t.emit(t.message(event, p))
	}
	return nil
}

// open returns the namespace that a client asks for, with its handler; it is made if a family wants it.
func (h *Hub) open(name string, hs *Handshake) (*Namespace, func(*Session) error, error) {
	ns := h.lookup(name)
	if ns != nil {
		if run := ns.run(); run != nil {
			return ns, run, nil
		}
	}
	h.mu.RLock()
	families := h.families
	h.mu.RUnlock()
	for _, f := range families {
		wanted := false
		h.guard("what decides about a namespace", func() { wanted = validNamespace(name) && f.match(name, hs) })
		if !wanted {
			continue
		}
		ns, created, err := f.child(name)
		if err != nil {
			return nil, nil, err
		}
		if created {
			h.tellNamespace(ns, ofNamespaceCreated)
		}
		return ns, ns.run(), nil
	}
	return nil, nil, ErrUnknownNamespace
}

// child returns the family's namespace called name, made if need be. One that the application has asked for by
// [Hub.Of] is adopted.
func (f *Family) child(name string) (ns *Namespace, created bool, err error) {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	ns = h.namespaces[name]
	if ns == nil {
		if h.children >= h.opts.MaxNamespaces {
			h.Count("namespace_refused")
			return nil, false, ErrTooManyNamespaces
		}
		h.children++
		ns, created = newNamespace(h, name), true
		ns.made = true
		h.namespaces[name] = ns
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.handler == nil {
		ns.handler, ns.family = f.run, f
		ns.use = append(slices.Clip(f.use), ns.use...)
	}
	return ns, created, nil
}

// ofFamily is the family whose handler the namespace has, or nil.
func (ns *Namespace) ofFamily() *Family {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.family
}

// dropEmpty forgets a namespace that was made for its sessions when there are none any more, and none whose clients
// may come back. As long as there are some of those, l looks again when the last of them is too late.
func (h *Hub) dropEmpty(ns *Namespace, l *coop.Loop) {
	if h.opts.KeepNamespaces {
		return
	}
	dropped, wait := ns.dropIfEmpty()
	switch {
	case dropped:
		h.tellNamespace(ns, ofNamespaceDeleted)
	case wait > 0:
		l.AfterFunc(wait, func() {
			ns.mu.Lock()
			ns.watched = false
			ns.mu.Unlock()
			h.dropEmpty(ns, l)
		})
	}
}

// dropIfEmpty takes the namespace from the hub, or says when to look again, if nobody else will. Locks are taken in
// the order recovery, hub, namespace.
func (ns *Namespace) dropIfEmpty() (dropped bool, wait time.Duration) {
	if rec := ns.recovery; rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		wait = rec.longest()
	}
	h := ns.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	ns.mu.Lock()
	defer ns.mu.Unlock()
	switch {
	case len(ns.sessions) > 0 || ns.dead || wait > 0 && ns.watched:
		return false, 0
	case wait > 0:
		ns.watched = true
		return false, wait
	}
	ns.dead = true
	h.raiseFloor(ns)
	h.children--
	delete(h.namespaces, ns.name)
	return true, 0
}
