package load

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/coop"
)

// A user is one session: a greenlet connects it and goes through the login; from then on packets come to it on the
// loop. Loop only.
type user struct {
	run  *run
	id   int
	link link
	lane *lane // nil if it is in none
	receiver

	// until the login is done
	inbox *coop.Queue[string]
	err   error // why inbox was closed
}

// A link carries packets, over one of the transports.
type link interface {
	// open connects g's user, as far as packets can be exchanged.
	open(g *coop.Greenlet) error

	// send sends a packet: buf without its first frameSpace bytes, which are for the head of a frame. buf is the caller's again
	// when send returns. It does not wait.
	send(buf []byte) error

	// ping sends a heartbeat or its answer, as send does.
	ping(text string) error

	// leave ends the session in good order, close without waiting.
	leave(g *coop.Greenlet)
	close()
}

// handshakeWithin is for one client, from dialling to the end of its login.
const handshakeWithin = 30 * time.Second

// connect takes a user from nothing to where messages can be sent and received.
func (u *user) connect(g *coop.Greenlet, join bool) error {
	u.inbox = coop.NewQueue[string](-1)
	err := g.WithTimeout(handshakeWithin, func() error {
		if err := u.link.open(g); err != nil {
			return err
		}
		if err := u.run.dialect.login(g, u); err != nil || !join {
			return err
		}
		return u.run.dialect.join(g, u)
	})
	if err != nil {
		u.link.close()
		if errors.Is(err, coop.ErrTimeout) {
			err = fmt.Errorf("the server does not answer: %w", err)
		}
		return err
	}
	u.inbox = nil
	return nil
}

// say sends a packet of the login.
func (u *user) say(text string) error {
	return u.link.send(append(make([]byte, frameSpace, frameSpace+len(text)), text...))
}

// expect waits for a packet that begins with want, and returns what follows. The packets before it are dropped.
func (u *user) expect(g *coop.Greenlet, want string) (string, error) {
	for {
		text, err := u.inbox.Get(g)
		if errors.Is(err, coop.ErrClosed) {
			err = u.err
		}
		if err != nil && want == upgraded {
			return "", err
		}
		if err != nil {
			return "", fmt.Errorf("waiting for %q: %w", want, err)
		}
		if rest, ok := strings.CutPrefix(text, want); ok {
			return rest, nil
		}
		if refused := u.run.dialect.refused(text); refused {
			return "", fmt.Errorf("waiting for %q: the server says %.200q", want, text)
		}
	}
}

// packet takes in what has arrived, at a time of the run's clock.
func (u *user) packet(p []byte, now time.Duration) error {
	if u.inbox != nil {
		if u.run.dialect.heartbeat(p) {
			return u.run.dialect.beat(u, p)
		}
		u.inbox.TryPut(string(p))
		return nil
	}
	return u.run.dialect.packet(u, p, now)
}

// ended is called once, when the link is gone. The error is never nil.
func (u *user) ended(err error) {
	if u.inbox != nil {
		u.err = err
		u.inbox.Close()
		return
	}
	u.run.fail(fmt.Errorf("client %d of %d: %w", u.id+1, u.run.plan.Clients, err))
}

// delivery takes in a message's text.
func (u *user) delivery(text []byte, now time.Duration) {
	r := u.run
	seq, ok := getHex(text)
	if !ok || u.lane == nil || len(text) < r.plan.Size || string(text[digits:2*digits]) != string(u.lane.tag[:]) || seq >= u.lane.sent {
		r.faults.Stray++
		return
	}
	if seq == u.next {
		u.next++
	} else if !u.got(seq, &r.faults) {
		return
	}
	r.delivered(u.lane, seq, now)
}
