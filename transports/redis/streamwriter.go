package redis

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// The writer adds messages to the stream by a connection of its own, one batch at a time: when the connection breaks in
// the middle of one, it has to know which of them are in the stream before it adds the next. A batch of several is a
// transaction, so that all of it is there or nothing.

// incarnation names a connection, and the run of the server that it leads to.
type incarnation struct {
	run string
	id  int64
}

// write runs until the driver is closed.
func (s *streams) write() {
	var wait backoff
	var old incarnation
	doubt := 0 // as many of those that are not written may be in the stream
	for s.ctx.Err() == nil {
		addr := s.l.topo.owner(s.key)
		client := s.client(s.ctx, addr)
		conn := client.Conn()
		s.scriptless = false // the user's rights may be others
		now, err := s.connect(conn, old)
		if err == nil {
			if now.run != old.run {
				doubt += s.unwritten()
			}
			if doubt > 0 {
				err = s.settleDoubt(conn)
			}
			old = now
		}
		if err == nil {
			doubt = 0
			wait.reset()
			s.connected(&s.writeErr, nil)
			doubt, err = s.writeOn(conn)
		}
		_ = conn.Close()
		_ = client.Close()
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			s.connected(&s.writeErr, err)
			s.away(addr, err)
			if networkError(err) != nil { // or it would notice a server that hangs only when it is done with waiting for entries
				s.mu.Lock()
				cut := s.cut
				s.mu.Unlock()
				if cut != nil {
					cut()
				}
			}
		}
		s.pause(wait.next())
	}
}

// away notes why the server at addr is of no use: in a Cluster, another may have the stream.
func (s *streams) away(addr string, err error) {
	if err == nil || s.l.elsewhere(addr, err) {
		return
	}
	s.l.topo.failed(addr)
	s.l.lookAgain()
}

// unwritten puts those messages in doubt that were written and have not come back: the server is another one, or another
// run of it, and may not have all that the one before had. It returns how many there are.
func (s *streams) unwritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.written
	for _, p := range s.pending[:n] {
		s.bytes += p.size
	}
	s.written = 0
	return n
}

func (s *streams) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// connect looks where conn leads. What the connection before has sent, and a server that hung has not read yet, is read
// no more: otherwise it could be added behind our look at the stream.
func (s *streams) connect(conn *goredis.Conn, old incarnation) (now incarnation, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.l.opts.timeout)
	defer cancel()
	if err := conn.Ping(ctx).Err(); err != nil {
		return now, err
	}
	info, err := conn.Info(ctx, "server").Result()
	if err != nil { // not allowed, perhaps: then doubles are noticed by those who read
		return now, networkError(err)
	}
	_, info, _ = strings.Cut(info, "run_id:")
	now.run, _, _ = strings.Cut(info, "\r\n")
	if now.id, err = conn.ClientID(ctx).Result(); err != nil {
		return now, networkError(err)
	}
	if old.id != 0 && old.run == now.run {
		err = networkError(conn.Do(ctx, "CLIENT", "KILL", "ID", old.id).Err())
	}
	return now, err
}

// networkError is err, unless it is what the server has answered.
func networkError(err error) error {
	var said goredis.Error
	if err == nil || errors.As(err, &said) {
		return nil
	}
	return err
}

// settleDoubt finds out how many of the messages, of which the connection broke before the answer, are in the stream.
func (s *streams) settleDoubt(conn *goredis.Conn) error {
	s.mu.Lock()
	from := s.last
	s.mu.Unlock()
	newest := uint64(0)
	for {
		ctx, cancel := context.WithTimeout(s.ctx, s.l.opts.timeout)
		page, err := conn.XRangeN(ctx, s.key, from.Next().String(), "+", pageEntries).Result()
		cancel()
		if err != nil {
			return err
		}
		for i := range page {
			x := readStreamEntry(&page[i])
			if x.uid == s.uid {
				newest = max(newest, x.n)
			}
			from = x.place
		}
		if len(page) < pageEntries {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.written < len(s.pending) && s.pending[s.written].n <= newest {
		s.markWritten(1)
	}
	return nil
}

// markWritten notes that the next n messages are in the stream. Under mu.
func (s *streams) markWritten(n int) {
	for range n {
		s.bytes -= s.pending[s.written].size
		s.written++
	}
}

// pageEntries is how much of the stream is asked for at once.
const pageEntries = 1000

// writeOn adds what there is until the connection breaks; doubt is of how many messages nobody knows then.
func (s *streams) writeOn(conn *goredis.Conn) (doubt int, err error) {
	idle := time.NewTimer(s.l.opts.pingEvery)
	defer idle.Stop()
	for {
		batch := s.nextBatch()
		if len(batch) > 0 {
			if err := s.add(conn, batch); err != nil {
				return len(batch), err
			}
			continue
		}
		idle.Reset(s.l.opts.pingEvery)
		select {
		case <-s.wake:
		case <-idle.C:
			ctx, cancel := context.WithTimeout(s.ctx, s.l.opts.timeout)
			err := conn.Ping(ctx).Err()
			cancel()
			if err != nil {
				return 0, err
			}
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
}

// nextBatch is what is to be added next. It stays pending.
func (s *streams) nextBatch() []*pendingEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.pending[s.written:]
	bytes := 0
	for i, p := range rest {
		if bytes += p.size; i == batchCommands || bytes > batchBytes && i > 0 {
			rest = rest[:i]
			break
		}
	}
	return append([]*pendingEntry(nil), rest...)
}

// add adds a batch. An error means that nobody knows whether it was added.
func (s *streams) add(conn *goredis.Conn, batch []*pendingEntry) error {
	var cmds []goredis.Cmder
	var err error
	pipe := conn.TxPipeline()
	count, scripts := 0, false
	for _, p := range batch {
		args, script, err := s.xadd(p)
		if err != nil { // it was encoded by the hub: that cannot be
			s.l.count(reasonStreamBad)
			continue
		}
		count++
		scripts = scripts || script
		if len(batch) == 1 {
			cmds = append(cmds, conn.Do(s.ctx, args...))
		} else {
			cmds = append(cmds, pipe.Do(s.ctx, args...))
		}
	}
	switch {
	case count == 0:
		err = nil
	case len(batch) == 1:
		err = cmds[0].Err()
	default:
		if _, err = pipe.Exec(s.ctx); code(err) == "EXECABORT" {
			err = abortedBy(cmds, err)
		}
	}
	if err == nil {
		if len(cmds) > 0 {
			s.l.succeeded(&command{cmd: cmds[0]})
		}
		s.added(batch)
		return nil
	}
	var said goredis.Error
	if !errors.As(err, &said) || code(err) == "MOVED" || code(err) == "ASK" {
		return err
	}
	if scripts && !transient(err) {
		s.scriptless = true // not allowed, perhaps: ids count at each node for itself
		return nil
	}
	s.l.count(reasonRefused)
	s.l.refused(&command{cmd: goredis.NewCmd(s.ctx, "xadd")}, err)
	if unusable(err) {
		return err
	}
	s.connected(&s.writeErr, err)
	s.pause(longWait / 2)
	s.connected(&s.writeErr, nil)
	return nil // the same batch again
}

// abortedBy is why a transaction was aborted, as the command says that was refused. Those that were not have err, too.
func abortedBy(cmds []goredis.Cmder, err error) error {
	for _, c := range cmds {
		if code(c.Err()) != "EXECABORT" {
			return cmp.Or(c.Err(), err)
		}
	}
	return err
}

// added notes that a batch is in the stream. Some of it may have been read back already.
func (s *streams) added(batch []*pendingEntry) {
	last := batch[len(batch)-1].n
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.written < len(s.pending) && s.pending[s.written].n <= last {
		s.markWritten(1)
	}
}

// Missed implements [hub.Sequencer].
func (s *streams) Missed(namespace string, behind hub.Place, fn func([]hub.Entry, hub.Place, error)) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if closed {
		fn(nil, behind, errClosed)
		return
	}
	go func() {
		defer s.wg.Done()
		select {
		case s.fetching <- struct{}{}:
		case <-s.ctx.Done():
			fn(nil, behind, errClosed)
			return
		}
		defer func() { <-s.fetching }()
		fn(s.missed(namespace, behind))
	}()
}

func (s *streams) missed(namespace string, behind hub.Place) (list []hub.Entry, upto hub.Place, err error) {
	upto = behind
	ctx, cancel := context.WithTimeout(s.ctx, s.l.opts.timeout)
	defer cancel()
	client := s.l.client()
	s.mu.Lock()
	hole := s.hole
	s.mu.Unlock()
	if behind.Compare(hole) <= 0 {
		return nil, upto, hub.ErrOffsetGone
	}
	there, err := client.XRangeN(ctx, s.key, behind.String(), behind.String(), 1).Result()
	if err != nil {
		return nil, upto, err
	}
	if len(there) == 0 {
		return nil, upto, hub.ErrOffsetGone
	}
	others := make(map[string]uint64)
	bytes := 0
	for {
		page, err := client.XRangeN(ctx, s.key, upto.Next().String(), "+", pageEntries).Result()
		if err != nil {
			return nil, upto, err
		}
		for i := range page {
			x := readStreamEntry(&page[i])
			upto = x.place
			if x.bad || x.n > 0 && x.n <= others[x.uid] {
				continue
			}
			others[x.uid] = x.n
			if x.nsp != namespace || x.kind != msgBroadcast {
				continue
			}
			reqs, bad := x.requests()
			if bad != nil || len(reqs) == 0 || reqs[0].Volatile {
				continue
			}
			if bytes += len(x.data); bytes > maxMissed {
				return nil, upto, hub.ErrOffsetGone
			}
			list = append(list, hub.Entry{Offset: hub.Offset{Place: x.place}, Origin: x.uid, N: x.n, Request: reqs[0]})
		}
		if len(page) < pageEntries {
			return list, upto, nil
		}
	}
}

// maxMissed bounds what is read for one session that comes back, in bytes.
const maxMissed = 64 << 20
