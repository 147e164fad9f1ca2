package redis

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// batchRead is what the reader has for the deliverer, in this order.
type batchRead struct {
	begin   bool      // the node begins behind from
	lost    bool      // it goes on behind from, and what was before is lost in part
	from    hub.Place // of these two
	entries []streamEntry
}

// reader reads the stream by a connection of its own, which hangs in XREAD most of the time.
type reader struct {
	s     *streams
	conn  *goredis.Conn
	begun bool
	last  hub.Place // of what was read
	entry bool      // there was an entry at that place
	added int64     // how many entries the stream has had up to there, as the server counts; below 0 unknown
}

// read runs until the driver is closed.
func (s *streams) read() {
	r := reader{s: s}
	var wait backoff
	for s.ctx.Err() == nil {
		ctx, cut := context.WithCancel(s.ctx)
		s.mu.Lock()
		s.cut = cut
		s.mu.Unlock()
		addr := s.l.topo.owner(s.key)
		client := s.client(ctx, addr)
		r.conn = client.Conn()
		err := r.look()
		if err == nil {
			wait.reset()
			s.connected(&s.readErr, nil)
			err = r.readOn()
		}
		cut()
		_ = r.conn.Close()
		_ = client.Close()
		if s.ctx.Err() != nil {
			return
		}
		s.connected(&s.readErr, err)
		s.away(addr, err)
		s.pause(wait.next())
	}
}

// give hands a batch over.
func (r *reader) give(b batchRead) error {
	select {
	case r.s.batches <- b:
		return nil
	case <-r.s.ctx.Done():
		return r.s.ctx.Err()
	}
}

// look finds out where to read, and whether something is lost: at the beginning, after each connection, and when nothing
// has come for a while. The place behind which everything is new is resolved once: "$" would leave out what is added
// between two calls.
func (r *reader) look() error {
	s := r.s
	ctx, cancel := context.WithTimeout(s.ctx, s.l.opts.timeout)
	defer cancel()
	there := true
	if r.entry { // first: what is trimmed after this is seen below
		list, err := r.conn.XRangeN(ctx, s.key, r.last.String(), r.last.String(), 1).Result()
		if err != nil {
			return err
		}
		there = len(list) > 0
	}
	info, err := r.info(ctx)
	if err != nil {
		return err
	}
	if !r.begun {
		r.begun = true
		r.goOn(info.newest, info)
		return r.give(batchRead{begin: true, from: r.last})
	}
	switch {
	case info.newest.Compare(r.last) < 0:
		// The server has lost the end of what it had, or all of it. New entries are behind all that we have read, unless
		// its clock goes back, too.
		r.goOn(info.newest, info)
	case info.newest == r.last:
		r.added = info.added
		return nil
	case info.length == 0 || info.first.Compare(r.last) > 0:
		// Nothing is left of what we have read. The server counts all entries that it has ever had: the first that it still
		// has is the next one, or others were between that are trimmed, or it has begun anew.
		if info.counts && info.added-info.length == r.added || !info.counts && (info.length == 0 || r.last == hub.Place{}) {
			return nil
		}
		if info.length == 0 {
			r.goOn(info.newest, info)
		} else {
			r.goOn(before(info.first), info)
			r.added = info.added - info.length
		}
	case !there: // it has lost the end of what it had, and others have added to the rest
		r.goOn(r.last, info)
	default:
		return nil
	}
	s.mu.Lock()
	s.hole = r.last
	s.mu.Unlock()
	return r.give(batchRead{lost: true, from: r.last})
}

// goOn has entries read that are behind p.
func (r *reader) goOn(p hub.Place, info streamInfo) {
	r.last, r.entry, r.added = p, p == info.end, -1
	if p == info.newest {
		r.added = info.added
	}
}

// before is the greatest place in front of p.
func before(p hub.Place) hub.Place {
	if p.Count > 0 {
		return hub.Place{Time: p.Time, Count: p.Count - 1}
	}
	return hub.Place{Time: p.Time - 1, Count: math.MaxUint64}
}

// streamInfo is what a server tells of a stream.
type streamInfo struct {
	newest     hub.Place // that was ever given to an entry
	first, end hub.Place // of the entries that there are
	length     int64
	added      int64 // how many there have ever been
	counts     bool  // from Redis 7 on it knows that
}

func (r *reader) info(ctx context.Context) (info streamInfo, err error) {
	x, err := r.conn.XInfoStream(ctx, r.s.key).Result()
	var said goredis.Error
	if errors.As(err, &said) && code(err) == "ERR" { // no such key
		return streamInfo{counts: true}, nil
	}
	if err != nil {
		return info, err
	}
	info = streamInfo{length: x.Length, added: x.EntriesAdded, counts: x.MaxDeletedEntryID != ""}
	info.newest, _ = hub.ParsePlace(x.LastGeneratedID)
	info.first, _ = hub.ParsePlace(x.FirstEntry.ID)
	info.end, _ = hub.ParsePlace(x.LastEntry.ID)
	return info, nil
}

func (r *reader) readOn() error {
	s := r.s
	for {
		streams, err := r.conn.XRead(s.ctx, &goredis.XReadArgs{
			Streams: []string{s.key, r.last.String()}, Count: int64(s.a.opts.readCount()), Block: s.a.opts.block(),
		}).Result()
		switch {
		case errors.Is(err, goredis.Nil):
			if err := r.look(); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		for i := range streams {
			list := streams[i].Messages
			entries := make([]streamEntry, len(list))
			if r.added >= 0 {
				r.added += int64(len(list))
			}
			for j := range list {
				entries[j] = readStreamEntry(&list[j])
				if p := entries[j].place; p.Compare(r.last) > 0 {
					r.last, r.entry = p, true
				}
			}
			if err := r.give(batchRead{entries: entries}); err != nil {
				return err
			}
		}
	}
}

func (o *Options) stream() string { return cmp.Or(o.StreamName, o.Prefix) }

func (o *Options) sessions() string { return cmp.Or(o.SessionPrefix, sessionPrefix) }

func (o *Options) maxLen() int {
	if o.StreamMaxLen > 0 {
		return o.StreamMaxLen
	}
	return streamMaxLen
}

func (o *Options) readCount() int {
	if o.StreamReadCount > 0 {
		return o.StreamReadCount
	}
	return streamCount
}

func (o *Options) block() time.Duration {
	if o.StreamBlock > 0 {
		return o.StreamBlock
	}
	return streamBlock
}
