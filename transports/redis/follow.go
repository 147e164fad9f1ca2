package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// How a link follows a Cluster that changes.

// lookAgain has the Cluster's table read again. Any goroutine.
func (l *link) lookAgain() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

// follow reads the table of a Cluster when there is cause to.
func (l *link) follow() {
	var wait backoff
	for {
		ctx, cancel := context.WithTimeout(l.ctx, l.opts.timeout)
		learn, err := l.topo.load(ctx)
		cancel()
		if err == nil {
			wait.reset()
			l.mu.Lock()
			learn()
			l.reroute()
			l.tell()
			l.mu.Unlock()
		} else {
			l.topo.failed("")
			l.lookAgain() // until it works
		}
		timer := time.NewTimer(wait.next()) // a node that sends us elsewhere without end costs little
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			timer.Stop()
			return
		}
		select {
		case <-l.look:
		case <-l.ctx.Done():
			return
		}
	}
}

// reroute gives everything to those who own it now. Under l.mu.
func (l *link) reroute() {
	if l.closed {
		return
	}
	l.shift()
	for addr, w := range l.writers {
		if addr != "" && !l.topo.owns(addr) {
			w.gone = true
			close(w.quit)
			delete(l.writers, addr)
		}
	}
	for key, w := range l.wishes {
		if key.kind != subShard {
			continue
		}
		if addr := l.topo.owner(key.channel); addr != w.at.addr {
			l.place(key, w, addr)
		}
	}
	for addr, s := range l.readers {
		if addr != "" && !l.topo.owns(addr) {
			s.gone = true
			close(s.quit)
			delete(l.readers, addr)
		}
	}
}

// shift gives what waits to those who own it now, but for slots of which something is under way to an earlier owner, who
// will refuse it: that has its turn first, see landed. Under l.mu.
func (l *link) shift() {
	if l.closed { // who owns them now may have ended
		return
	}
	for addr, w := range l.writers {
		for i := range w.flying {
			if key := w.flying[i].key; key != "" && l.topo.owner(key) != addr {
				if slot := slotOf(key); l.held[slot] == nil {
					l.held[slot] = w
				}
			}
		}
		owns := addr == "" || l.topo.owns(addr)
		l.forward(w.queue.remove(func(c *command) bool {
			return l.topo.owner(c.key) != addr && !(c.asking && owns) && (len(l.held) == 0 || l.held[slotOf(c.key)] != w)
		}))
	}
}

// landed notes that nothing of w's is under way.
func (l *link) landed(w *writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.flying = nil
	if len(l.held) == 0 {
		return
	}
	mine := make(map[int]bool)
	for slot, holder := range l.held {
		if holder == w {
			mine[slot] = true
			delete(l.held, slot)
		}
	}
	if !l.closed {
		l.forward(w.queue.remove(func(c *command) bool {
			return w.gone || c.key != "" && mine[slotOf(c.key)] && l.topo.owner(c.key) != w.addr
		}))
	}
}

// forward queues commands with those who own their keys. Under l.mu.
func (l *link) forward(batch []command) {
	groups := make(map[string][]command)
	for _, c := range batch {
		c.asking = false
		addr := l.topo.owner(c.key)
		groups[addr] = append(groups[addr], c)
	}
	for addr, group := range groups {
		slices.SortStableFunc(group, func(a, b command) int { return cmp.Compare(a.seq, b.seq) })
		w := l.writer(addr)
		w.queue.back(group)
		w.signal()
	}
}

// redirect follows the MOVED that Redis has answered to commands of w: they have not been done, and go to another node
// before what waits there and was asked for later.
func (l *link) redirect(w *writer, batch []command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		w.queue.back(batch)
		return
	}
	for i := range batch {
		if slot, addr, ok := movedTo(batch[i].cmd.Err().Error()); ok {
			l.topo.moved(slot, l.topo.from(w.addr, addr))
		}
	}
	l.forward(batch)
	l.forward(w.queue.remove(func(c *command) bool { return !c.asking && l.topo.owner(c.key) != w.addr }))
	l.lookAgain()
}

// ask follows the ASK that Redis has answered to commands of w. Their slot is moving: some of its keys, or new ones, are
// with the other node already, and the slot is still w's.
func (l *link) ask(w *writer, batch []command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		w.queue.back(batch)
		return
	}
	groups := make(map[*writer][]command)
	for _, c := range batch {
		_, addr, ok := movedTo(c.cmd.Err().Error())
		if !ok {
			addr = l.topo.owner(c.key)
		}
		c.asking = ok
		to := l.writer(l.topo.from(w.addr, addr))
		groups[to] = append(groups[to], c)
	}
	for to, group := range groups {
		to.queue.back(group)
		to.signal()
	}
}

// elsewhere notes what a server has answered to a command that does not go through a writer: in a Cluster, it may say who
// has the slot. It reports whether the command was refused for that, and is to be sent there.
func (l *link) elsewhere(addr string, err error) bool {
	switch code(err) {
	case "MOVED":
		var said goredis.Error
		if errors.As(err, &said) {
			if slot, to, ok := movedTo(said.Error()); ok {
				l.mu.Lock()
				l.topo.moved(slot, l.topo.from(addr, to))
				l.shift()
				l.mu.Unlock()
			}
		}
	case "ASK": // soon
	default:
		return false
	}
	l.lookAgain()
	return true
}

// place moves a subscription to another node. Under l.mu.
func (l *link) place(key subKey, w *wish, addr string) {
	w.at.subs.want(key, false)
	w.at.signal()
	w.at = l.reader(addr)
	w.at.subs.want(key, true)
	w.at.signal()
}
