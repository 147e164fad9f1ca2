package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Commands of one round trip. A batch is what has come while the one before was under way: nothing waits for more.
const (
	batchCommands = 512
	batchBytes    = 1 << 20
)

// mostMoves bounds how often a command follows a MOVED or an ASK.
const mostMoves = 5

// writer sends the commands for one server, in order, over one connection.
//
// They go through a connection of their own and not through the client's pool, which would give two batches to two
// connections, and in which a batch of unknown fate is sent again: a message twice.
type writer struct {
	l     *link
	addr  string        // which node, see topology
	wake  chan struct{} // has a buffer of one
	probe chan struct{} // has a buffer of one: the other connection to that server is lost, this one may be
	quit  chan struct{} // closed when that node has nothing any more
	done  chan struct{} // closed when run has returned

	// link.mu
	queue  queue
	flying []command // those under way
	err    error     // why it is not connected; errConnecting in the beginning
	gone   bool      // quit is closed, and the queue belongs to others

	// Of run: the scripts that the server has, by their digests, as far as this connection has seen. Until it has, they
	// are sent whole: one of which only the digest comes, and is not known, would have to be sent again, behind others.
	has map[string]bool
}

func newWriter(l *link, addr string) *writer {
	return &writer{l: l, addr: addr, quit: make(chan struct{}), probe: make(chan struct{}, 1), wake: make(chan struct{}, 1), done: make(chan struct{}), err: errConnecting}
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run connects, and connects again, until the link is closed.
func (w *writer) run() {
	defer close(w.done)
	defer w.l.abandon(w)
	var wait backoff
	for {
		conn := w.l.topo.node(w.addr).Conn()
		err := w.ping(conn)
		if err == nil {
			began := time.Now()
			w.l.writerUp(w, nil)
			err = w.serve(conn)
			if time.Since(began) > longWait {
				wait.reset() // otherwise a server that refuses all would be asked without end
			}
		}
		_ = conn.Close()
		if w.l.closing() || isClosed(w.quit) {
			return
		}
		w.l.writerUp(w, err)
		if !w.pause(wait.next()) {
			return
		}
	}
}

func (w *writer) ping(conn *goredis.Conn) error {
	ctx, cancel := context.WithTimeout(w.l.ctx, w.l.opts.timeout)
	defer cancel()
	return conn.Ping(ctx).Err()
}

// pause waits for d. What has waited too long meanwhile is dropped.
func (w *writer) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.l.ctx.Done():
		return false
	case <-w.quit:
		return false
	case <-timer.C:
	}
	w.l.expire(w)
	return true
}

// serve sends what there is until the connection breaks.
func (w *writer) serve(conn *goredis.Conn) error {
	var batch []command
	w.has = make(map[string]bool)
	pipe := conn.Pipeline()
	idle := time.NewTimer(w.l.opts.pingEvery)
	defer idle.Stop()
	for {
		select {
		case <-w.probe: // before anything is sent that would be lost
			if err := w.ping(conn); err != nil {
				return err
			}
		default:
		}
		batch = w.l.next(w, batch[:0])
		if len(batch) > 0 {
			err := w.send(pipe, batch)
			w.l.landed(w)
			if err != nil {
				return err
			}
			continue
		}
		idle.Reset(w.l.opts.pingEvery)
		select {
		case <-w.wake:
		case <-idle.C:
			if err := w.ping(conn); err != nil {
				return err
			}
		case <-w.l.ctx.Done():
			return w.l.ctx.Err()
		case <-w.quit:
			return errClosed
		case <-w.l.drain: // closed when the link is being closed: the queue was empty
			return errClosed
		}
	}
}

// send does one round trip. An error means that the connection is of no use any more.
func (w *writer) send(pipe goredis.Pipeliner, batch []command) error {
	for i := range batch {
		if batch[i].asking {
			_ = pipe.Process(w.l.ctx, goredis.NewStatusCmd(w.l.ctx, "ASKING"))
		}
		if sc := batch[i].script; sc != nil {
			sc.name(batch[i].cmd.Args(), w.has[sc.digest])
		}
		_ = pipe.Process(w.l.ctx, batch[i].cmd) // into the pipeline; it cannot fail
	}
	_, _ = pipe.Exec(w.l.ctx) // each command has its own error
	var broken error
	var again, unknown, moved, asked []command
	var stuck map[int]bool // slots of which something is in again: what was asked for later stays behind it
	for i := range batch {
		c := &batch[i]
		err := c.cmd.Err()
		var said goredis.Error
		switch {
		case err == nil || errors.Is(err, goredis.Nil):
			w.l.succeeded(c)
			if c.script != nil {
				w.has[c.script.digest] = true
			}
		case code(err) == "NOSCRIPT" && c.script != nil && c.moves < mostMoves: // SCRIPT FLUSH, or a server between us
			c.moves++
			delete(w.has, c.script.digest)
			unknown = append(unknown, *c)
			continue
		case (code(err) == "MOVED" || code(err) == "ASK") && stuck[slotOf(c.key)]:
			again = append(again, *c)
			continue
		case code(err) == "MOVED" && c.moves < mostMoves:
			c.moves++
			moved = append(moved, *c)
			continue
		case code(err) == "ASK" && c.moves < mostMoves:
			c.moves++
			asked = append(asked, *c)
			continue
		case !errors.As(err, &said):
			broken = err
			w.l.drop(c, reasonUnanswered)
			continue
		case transient(err):
			if unusable(err) {
				broken = err
			}
			w.l.refused(c, err)
			if c.keep > 0 || code(err) == "TRYAGAIN" { // the latter while a slot moves: it is over soon
				if code(err) == "TRYAGAIN" {
					if stuck == nil {
						stuck = make(map[int]bool)
					}
					stuck[slotOf(c.key)] = true
				}
				again = append(again, *c)
				continue
			}
			w.l.drop(c, reasonRefused)
			continue
		case c.done == nil || forbidden(err):
			if unusable(err) {
				broken = err
			}
			w.l.refused(c, err)
			w.l.drop(c, reasonRefused)
			continue
		}
		if c.done != nil {
			c.done(c.cmd)
		}
	}
	if len(moved) > 0 {
		w.l.redirect(w, moved)
	}
	if len(asked) > 0 {
		w.l.ask(w, asked)
	}
	if len(unknown) > 0 {
		w.l.back(w, unknown)
	}
	if len(again) > 0 {
		w.l.back(w, again)
		if broken == nil && !w.pause(firstWait) {
			return w.l.ctx.Err()
		}
	}
	return broken
}
