package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// subscriber is a connection that receives messages from one server, and its subscriptions.
type subscriber struct {
	l     *link
	addr  string        // which node, see topology
	wake  chan struct{} // has a buffer of one: there is something to send
	quit  chan struct{} // closed when nothing is to be had from that node any more
	again chan struct{} // has a buffer of one: the server is there, it need not be waited for

	// link.mu
	subs subscriptions
	conn net.Conn // nil while there is none
	err  error    // why; errConnecting in the beginning
	ping bool     // one has to be sent
	gone bool     // quit is closed

	refusal error // what the server answered to a subscription that is missing
}

func newSubscriber(l *link, addr string) *subscriber {
	return &subscriber{
		l: l, addr: addr, wake: make(chan struct{}, 1), quit: make(chan struct{}), again: make(chan struct{}, 1),
		subs: newSubscriptions(), err: errConnecting,
	}
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run connects, and connects again, until the link is closed or has no more use for it.
func (s *subscriber) run() {
	var wait backoff
	for {
		conn, err := s.dial()
		if err == nil {
			began := time.Now()
			err = s.serve(conn)
			if time.Since(began) > longWait {
				wait.reset() // otherwise a server that throws us out at once would be asked without end
			}
		}
		if !s.l.subscriberDown(s, err) {
			return
		}
		timer := time.NewTimer(wait.next())
		select {
		case <-timer.C:
		case <-s.again:
		case <-s.quit:
		case <-s.l.ctx.Done():
		}
		timer.Stop()
	}
}

// dial connects and says who we are.
func (s *subscriber) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.l.ctx, s.l.opts.timeout)
	defer cancel()
	conn, err := s.l.topo.dial(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := s.greet(ctx, conn); err != nil {
		stop()
		_ = conn.Close()
		return nil, err
	}
	if !stop() {
		_ = conn.Close()
		return nil, ctx.Err()
	}
	return conn, nil
}

// greet logs in, gives the connection a name for CLIENT LIST, and makes sure that the server is able to serve.
func (s *subscriber) greet(ctx context.Context, conn net.Conn) error {
	user, password, err := s.l.topo.credentials(ctx)
	if err != nil {
		return err
	}
	var out []byte
	replies := 2
	switch {
	case user != "":
		out = appendCommand(out, "AUTH", user, password)
		replies++
	case password != "":
		out = appendCommand(out, "AUTH", password)
		replies++
	}
	out = appendCommand(out, "CLIENT", "SETNAME", s.l.opts.clientName)
	out = appendCommand(out, "PING")
	_, broken := conn.Write(out) // what it has said before it hung up is to be read all the same
	in := newReplies(conn, maxLine)
	var unnamed error
	for i := range replies {
		r, err := in.next()
		switch {
		case err != nil && unnamed != nil: // that it has too many clients it says to whatever comes first, and hangs up
			return unnamed
		case err != nil:
			return cmp.Or(broken, err)
		case r.kind == replyError && i == replies-2: // a name may be forbidden, nothing depends on it
			unnamed = serverError(r.body)
		case r.kind == replyError:
			return serverError(r.body)
		}
	}
	return nil
}

// serve reads until the connection breaks. A goroutine beside it writes.
func (s *subscriber) serve(conn net.Conn) error {
	if !s.l.subscriberUp(s, conn) {
		_ = conn.Close()
		return errClosed
	}
	done := make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		err := s.write(conn, done)
		_ = conn.Close() // the reader ends
		wrote <- err
	}()
	err := s.read(conn)
	close(done)
	_ = conn.Close()
	if werr := <-wrote; werr != nil {
		err = werr // the cause: the reader only saw a closed connection
	}
	return err
}

// write sends subscriptions and pings as they are wanted.
func (s *subscriber) write(conn net.Conn, done <-chan struct{}) error {
	var buf []byte
	retry := time.NewTicker(s.l.opts.pingEvery)
	defer retry.Stop()
	for {
		buf = s.l.toSend(s, buf[:0])
		if len(buf) > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(s.l.opts.timeout))
			if _, err := conn.Write(buf); err != nil {
				select {
				case <-done:
					return nil
				default:
					return err
				}
			}
			continue
		}
		select {
		case <-s.wake:
		case <-retry.C:
			s.l.retry(s)
		case <-done:
			return nil
		case <-s.quit:
			return errClosed
		case <-s.l.ctx.Done():
			return errClosed
		}
	}
}

func (s *subscriber) read(conn net.Conn) error {
	in := newReplies(&hearing{s, conn}, s.l.opts.maxMessage)
	names := newNames()
	for {
		r, err := in.next()
		if err != nil {
			return err
		}
		switch r.kind {
		case replyMessage:
			s.l.received.Add(1)
			s.l.onMessage(names.of(r.channel), r.body)
		case replyTooBig:
			s.l.count(reasonTooBig)
		case replyPong:
		case replySubscribed, replyUnsubscribed:
			if err := s.l.answered(s, r); err != nil {
				return err
			}
		case replyError:
			if err := s.l.failed(s, r.body); err != nil {
				return err
			}
		}
	}
}

// hearing is a connection that does not stay silent: it sends a PING when nothing has come for a while, and ends when
// nothing comes then either. What the kernel reports of a peer that hangs, it reports after minutes.
//
// It counts the times that it has waited in vain, and does not look at a clock: of a process that was stopped, or was busy
// with a message, for an hour, the clock says that the server was silent, which was not even asked.
type hearing struct {
	s    *subscriber
	conn net.Conn
}

func (h *hearing) Read(b []byte) (int, error) {
	every, most := h.s.l.opts.pingEvery, h.s.l.opts.pingEvery+h.s.l.opts.timeout
	for silent := every; ; silent += every {
		_ = h.conn.SetReadDeadline(time.Now().Add(every))
		n, err := h.conn.Read(b)
		if n > 0 {
			return n, nil
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			return 0, err
		}
		if silent >= most {
			return 0, fmt.Errorf("%w for %s", errSilent, silent.Round(time.Millisecond))
		}
		if silent == every {
			h.s.l.askPing(h.s)
		}
	}
}

// names keeps the strings of channels that were heard last, so that most messages cost none. Long ones it does not.
type names struct{ recent [256]string }

// maxName is how long those are that are kept.
const maxName = 1024

func newNames() *names { return new(names) }

func (n *names) of(b []byte) string {
	if len(b) > 1<<10 {
		return string(b)
	}
	h := uint32(2166136261) // FNV-1a
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	if len(b) > maxName {
		return string(b)
	}
	at := &n.recent[byte(h^h>>8^h>>16^h>>24)]
	if *at != string(b) {
		*at = string(b)
	}
	return *at
}
