package engineio

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// registry finds sessions by their id, from any goroutine, and counts them.
type registry struct {
	seed   maphash.Seed
	shards [64]shard
	count  atomic.Int64  // reserved and registered sessions
	empty  chan struct{} // receives, when somebody waits, that count fell to 0
}

// shard keeps the lock of one part of the sessions off the others.
type shard struct {
	mu sync.Mutex
	m  map[string]*Socket
	_  [40]byte // a cache line each
}

func (g *registry) init() {
	g.seed = maphash.MakeSeed()
	g.empty = make(chan struct{}, 1)
	for i := range g.shards {
		g.shards[i].m = make(map[string]*Socket)
	}
}

func (g *registry) shard(sid string) *shard {
	return &g.shards[maphash.String(g.seed, sid)%uint64(len(g.shards))]
}

func (g *registry) len() int { return int(g.count.Load()) }

func (g *registry) get(sid string) *Socket {
	sh := g.shard(sid)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.m[sid]; s != nil && s.known.Load() {
		return s
	}
	return nil
}

// reserve counts a session in before any work is done for it. On an error the
// caller must release all the same.
func (g *registry) reserve(o *Options, closing *atomic.Bool) *requestError {
	n := g.count.Add(1)
	switch {
	case closing.Load():
		return errShuttingDown
	case n > int64(o.MaxSessions):
		return errServerFull
	}
	return nil
}

// release undoes reserve for a session that was never registered.
func (g *registry) release() { g.left() }

func (g *registry) left() {
	if g.count.Add(-1) == 0 {
		g.signal()
	}
}

func (g *registry) signal() {
	select {
	case g.empty <- struct{}{}:
	default:
	}
}

// add makes s known, unless its id is taken: applications may make ids. On false
// the caller must release.
func (g *registry) add(s *Socket) bool {
	sh := g.shard(s.sid)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[s.sid] != nil {
		return false
	}
	sh.m[s.sid] = s
	return true
}

func (g *registry) remove(s *Socket) {
	sh := g.shard(s.sid)
	sh.mu.Lock()
	delete(sh.m, s.sid)
	sh.mu.Unlock()
	g.left()
}

// each calls fn for every session, with no lock held.
func (g *registry) each(fn func(*Socket)) {
	for i := range g.shards {
		sh := &g.shards[i]
		sh.mu.Lock()
		list := make([]*Socket, 0, len(sh.m))
		for _, s := range sh.m {
			list = append(list, s)
		}
		sh.mu.Unlock()
		for _, s := range list {
			fn(s)
		}
	}
}
