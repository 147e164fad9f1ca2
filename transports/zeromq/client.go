package zeromq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// client is one outgoing connection with its guard.
type client struct {
	guard *guard.Conn
	conn  *zmq4.Conn
}

// ErrNoGreeting: a server accepted the connection and did not greet. Every ZeroMQ socket greets at once, so
// that another protocol is likely to be spoken there.
var ErrNoGreeting = errors.New("no greeting came, is it a ZeroMQ endpoint?")

// connect dials and shakes hands within ctx, or 5 s.
func connect(ctx context.Context, endpoint string, typ zmq4.SocketType) (*client, error) {
	return Dialer{}.connect(ctx, endpoint, typ)
}

// toolLimits are what a tool takes from a server.
var toolLimits = guard.Limits{FrameBytes: 16 << 20, MessageBytes: 32 << 20, Frames: 1024}

func (d Dialer) connect(ctx context.Context, endpoint string, typ zmq4.SocketType) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	raw, err := dial(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("zeromq: connecting: %w", err)
	}
	secure, err := d.secure(raw, toolLimits)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("zeromq: connecting: %w", err), raw.Close())
	}
	c := &client{guard: guard.New(secure, string(typ), toolLimits)}
	stop := context.AfterFunc(ctx, func() { c.guard.Fail(ctx.Err()) })
	c.conn, err = guard.Open(c.guard, typ, false)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && !c.guard.Heard() {
			err = fmt.Errorf("%w (%w)", ErrNoGreeting, err)
		}
		c.close()
		return nil, fmt.Errorf("zeromq: connecting to %s: %w", endpoint, inHandshake(err))
	}
	return c, nil
}

// inHandshake says what the end of a connection may mean that is not shaken hands on.
func inHandshake(err error) error {
	if !hungUp(err) {
		return err
	}
	return fmt.Errorf("it closed the connection in the handshake; most likely it speaks another security mechanism, "+
		"or lets nobody in at the moment: %w", err)
}

func (c *client) close() {
	_ = c.guard.Close()
	c.guard.Wait()
}

// Pusher is a PUSH socket with one connection, for tools. Send is for one goroutine.
type Pusher struct {
	client
	left    chan struct{} // closed when the peer has closed, or the connection failed
	closing sync.Once
	err     error
}

// Push is [Dialer.Push] without security.
func Push(ctx context.Context, endpoint string) (*Pusher, error) { return Dialer{}.Push(ctx, endpoint) }

// listen reads, so that heartbeats are answered and the end is seen. A PULL socket sends no messages.
func (p *Pusher) listen() {
	defer close(p.left)
	for {
		if _, err := p.conn.RecvMsg(); err != nil {
			return
		}
	}
}

// Send queues one message and waits only while the queue is full. The frames are copied.
func (p *Pusher) Send(frames ...[]byte) error {
	if len(frames) == 0 {
		return errors.New("zeromq: a message has at least one frame")
	}
	if err := p.conn.SendMsg(zmq4.NewMsgFrom(frames...)); err != nil {
		return fmt.Errorf("zeromq: sending: %w", err)
	}
	return nil
}

// closeTimeout is how long Close waits for the peer to take what was sent.
const closeTimeout = 5 * time.Second

// Close sends what is queued, tells the peer that it was all, and waits until the peer has closed
// too: only then has it read everything. Idempotent. The error says that something may be lost.
func (p *Pusher) Close() error {
	p.closing.Do(func() {
		timeout := time.AfterFunc(closeTimeout, func() {
			p.guard.Fail(fmt.Errorf("the peer did not take everything within %v", closeTimeout))
		})
		p.err = p.guard.Flush()
		if p.err == nil {
			p.err = p.guard.CloseWrite()
		}
		if p.err == nil {
			<-p.left
			if err := p.guard.Err(); err != nil && !errors.Is(err, io.EOF) {
				p.err = err
			}
		}
		timeout.Stop()
		p.close()
		<-p.left
		if p.err != nil {
			p.err = fmt.Errorf("zeromq: closing: %w", p.err)
		}
	})
	return p.err
}

// Subscription is a SUB socket with one connection, for tools. Receive is for one goroutine.
type Subscription struct{ client }

// Subscribe is [Dialer.Subscribe] without security.
func Subscribe(ctx context.Context, endpoint string, topics ...string) (*Subscription, error) {
	return Dialer{}.Subscribe(ctx, endpoint, topics...)
}

// Receive returns the frames of the next message. When ctx ends first the connection is closed: a
// message may have been half read.
func (s *Subscription) Receive(ctx context.Context) ([][]byte, error) {
	stop := context.AfterFunc(ctx, func() { s.guard.Fail(ctx.Err()) })
	defer stop()
	for {
		msg, err := s.conn.RecvMsg()
		if err != nil {
			if own := s.guard.Err(); own != nil {
				err = own
			}
			return nil, fmt.Errorf("zeromq: receiving: %w", err)
		}
		if msg.Type == zmq4.UsrMsg {
			return msg.Frames, nil
		}
	}
}

// Close ends the connection. Idempotent.
func (s *Subscription) Close() error {
	s.close()
	return nil
}
