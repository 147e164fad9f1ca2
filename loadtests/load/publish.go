package load

import (
	"fmt"
	"time"

	"greenroom/coop"
)

// publish starts the greenlet that sends, and in a paced run the clock that wakes it.
func (r *run) publish(g *coop.Greenlet) {
	r.arrived = r.now()
	if r.every > 0 {
		r.nextAt = r.now() + r.every
		r.pacer.Add(1)
		go r.pace(r.nextAt)
	} else {
		r.ready = append(r.ready, r.lanes...)
		for _, l := range r.ready {
			l.queued = true
		}
		r.wake.Set()
	}
	g.Spawn(func(g *coop.Greenlet) error {
		for {
			if err := r.wake.Wait(g); err != nil {
				return nil
			}
			r.wake.Clear()
			if err := r.fill(); err != nil {
				r.fail(fmt.Errorf("publishing: %w", err))
				return nil
			}
		}
	})
}

// pace wakes the publisher when a message is due, more exactly than a timer of the loop would: those round up to a
// millisecond. It runs on a goroutine.
func (r *run) pace(next time.Duration) {
	defer r.pacer.Done()
	defer exactSleeps()()
	const look = 50 * time.Millisecond
	for {
		for left := next - r.now(); left > 0; left = next - r.now() {
			nap(min(left, look))
			select {
			case <-r.over:
				return
			default:
			}
		}
		if !r.loop.Post(r.wake.Set) {
			return
		}
		next += r.every
		if late := r.now() - next; late > 0 { // those have been asked for
			next += (late/r.every + 1) * r.every
		}
	}
}

// fill sends what is due, or what the windows have room for.
func (r *run) fill() error {
	if r.idle {
		return nil
	}
	now := r.now()
	if r.every > 0 {
		for r.nextAt <= now {
			l := r.lanes[r.turn]
			if r.turn++; r.turn == len(r.lanes) {
				r.turn = 0
			}
			if err := r.send(l, r.nextAt); err != nil {
				return err
			}
			r.nextAt += r.every
		}
		return nil
	}
	for _, l := range r.ready {
		l.queued = false
		for l.open < r.plan.Window {
			if err := r.send(l, r.now()); err != nil {
				return err
			}
		}
	}
	r.ready = r.ready[:0]
	return nil
}

// send publishes to a lane, or calls, for its publisher.
func (r *run) send(l *lane, due time.Duration) error {
	if r.open == 0 {
		r.arrived = max(r.arrived, r.now()) // the stall begins here at the earliest
	}
	before := l.open
	seq := l.begin(due)
	r.open += l.open - before
	putHex(r.text, seq)
	copy(r.text[digits:], l.tag[:])
	if r.plan.Publish != nil {
		return r.plan.Publish(l.name, r.text)
	}
	var space [frameSpace]byte
	r.buf = append(r.buf[:0], space[:]...)
	if r.plan.Mode == Echo {
		r.buf = r.dialect.echo(r.buf, seq, r.text)
	} else {
		r.buf = r.dialect.publish(r.buf, l, r.text)
	}
	return l.publisher.link.send(r.buf)
}

// delivered notes that a member of a lane has got a message for the first time.
func (r *run) delivered(l *lane, seq uint32, now time.Duration) {
	before := l.open
	due, known := l.arrived(seq)
	r.open += l.open - before
	r.arrived = now
	r.meter.add(now-due, known)
	if r.every == 0 && l.open < r.plan.Window && !l.queued {
		l.queued = true
		r.ready = append(r.ready, l)
		r.wake.Set()
	}
}

// enough sockets with something to read are worth a look at once.
const enough = 200

// Flush ends a tick in which something was read. While a server writes to its sockets one by one, waking for each would
// cost the generator more than the server: it lets some gather first, and holds its loop, which has nothing else to
// do.
func (r *run) Flush() {
	r.napping = false
	few := min(r.plan.Clients/2, enough)
	if r.reads < few && !r.idle {
		nap(r.plan.Gather)
	}
	r.reads = 0
}

// gather has Flush called, after something was read.
func (r *run) gather() {
	r.reads++
	if !r.napping && r.plan.Gather > 0 {
		r.napping = true
		r.loop.QueueFlush(r)
	}
}

var _ coop.Flusher = (*run)(nil)
