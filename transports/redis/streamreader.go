package redis

import (
	"context"
	"errors"
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
	added int64     // how many entries the stream has had, at least, as far as the server counts
}

// read runs until the driver is closed.
func (s *streams) read() {
	r := reader{s: s}
	var wait backoff
	for s.ctx.Err() == nil {
		client := s.client()
		r.conn = client.Conn()
		err := r.look()
		if err == nil {
			wait.reset()
			s.connected(&s.readErr, nil)
			err = r.readOn()
		}
		_ = r.conn.Close()
		_ = client.Close()
		if s.ctx.Err() != nil {
			return
		}
		s.connected(&s.readErr, err)
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
	newest, trimmed, added, err := r.info(ctx)
	if err != nil {
		return err
	}
	before := r.added
	r.added = added
	gone := false
	if r.begun && r.last != (hub.Place{}) && trimmed.Compare(r.last) < 0 {
		there, err := r.conn.XRangeN(ctx, s.key, r.last.String(), r.last.String(), 1).Result()
		if err != nil {
			return err
		}
		gone = len(there) == 0
	}
	switch {
	case !r.begun:
		r.begun, r.last = true, newest
		return r.give(batchRead{begin: true, from: newest})
	case newest.Compare(r.last) < 0 || added < before || gone:
		// The server has lost the end of what it had, or all of it; others may have added more since than it had. New entries are behind all that we have read, unless
		// its clock goes back, too.
		if newest.Compare(r.last) < 0 {
			r.last = newest
		}
		return r.give(batchRead{lost: true, from: r.last})
	case trimmed.Compare(r.last) > 0:
		r.last = trimmed
		return r.give(batchRead{lost: true, from: r.last})
	}
	return nil
}

// info is how far the stream is, the newest place that is gone, as far as the server tells, and how many entries there
// have ever been.
func (r *reader) info(ctx context.Context) (newest, trimmed hub.Place, added int64, err error) {
	info, err := r.conn.XInfoStream(ctx, r.s.key).Result()
	var said goredis.Error
	if errors.As(err, &said) && code(err) == "ERR" { // no such key
		return newest, trimmed, 0, nil
	}
	if err != nil {
		return newest, trimmed, 0, err
	}
	newest, _ = hub.ParsePlace(info.LastGeneratedID)
	first, _ := hub.ParsePlace(info.FirstEntry.ID)
	switch {
	case info.MaxDeletedEntryID != "":
		trimmed, _ = hub.ParsePlace(info.MaxDeletedEntryID)
	case first.Compare(r.last) > 0 && info.Length > 0 && r.last != (hub.Place{}):
		// Before Redis 7 it does not tell. What we have read last is gone, and perhaps what was behind it.
		trimmed = r.last.Next()
	}
	return newest, trimmed, info.EntriesAdded, nil
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
			r.added += int64(len(list))
			for j := range list {
				entries[j] = readStreamEntry(&list[j])
				if p := entries[j].place; p.Compare(r.last) > 0 {
					r.last = p
				}
			}
			if err := r.give(batchRead{entries: entries}); err != nil {
				return err
			}
		}
	}
}

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
