package zeromq

import (
	"bytes"
	"errors"
	"runtime/debug"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// pullPause is how long a PULL connection leaves the hub alone when it is saturated, before it looks
// again: a few of the hub's ticks.
const pullPause = 2 * time.Millisecond

// servePull reads what a PUSH peer sends, one message at a time, as fast as the hub takes them.
func (b *Bridge) servePull(p *peer) error {
	for {
		if b.hub.Saturated() {
			b.hub.Count(reasonPaused)
			for b.hub.Saturated() {
				if !p.endpoint.sleep(pullPause) {
					return nil
				}
			}
		}
		frames, err := p.receive()
		if err != nil {
			return err
		}
		b.ingest(p, frames, b.opts.PullFormat)
	}
}

// serveSub subscribes to a PUB peer and reads what it sends. Not reading would not hold the publisher
// back but make it drop unseen: what the hub cannot take is dropped and counted here.
func (b *Bridge) serveSub(p *peer) error {
	var subscribe []byte
	for _, topic := range b.opts.SubTopics {
		subscribe = guard.AppendStringFrame(subscribe[:0], "\x01"+topic, false)
		if err := p.guard.Send(subscribe); err != nil {
			return err
		}
	}
	for {
		frames, err := p.receive()
		switch {
		case err != nil:
			return err
		case !b.wanted(frames[0]):
			b.refused(reasonUnwanted, "dropped a message that was not subscribed to", "remote", p.remote)
		case b.hub.Saturated():
			b.refused(reasonSaturated, "dropped a message, the hub is saturated", "remote", p.remote)
		default:
			b.ingest(p, frames, b.opts.SubFormat)
		}
	}
}

// wanted filters again what publishers should have filtered.
func (b *Bridge) wanted(topic []byte) bool {
	for _, prefix := range b.opts.SubTopics {
		if bytes.HasPrefix(topic, []byte(prefix)) {
			return true
		}
	}
	return false
}

// receive returns the frames of the next message. The guard lets whole messages pass and nothing
// else, so that a command here would be zmq4's mistake or ours.
func (p *peer) receive() ([][]byte, error) {
	msg, err := p.conn.RecvMsg()
	if err != nil {
		return nil, err
	}
	if msg.Type != zmq4.UsrMsg || len(msg.Frames) == 0 {
		return nil, &guard.Violation{Reason: reasonUnexpectedCmd, Detail: "zmq4 returned a command"}
	}
	return msg.Frames, nil
}

// ingest publishes one message of a peer's, or counts why not.
func (b *Bridge) ingest(from *peer, frames [][]byte, f Format) {
	pubs, err := parse(frames, f)
	if err != nil {
		reason, detail := reasonShape, err.Error()
		if r := (*Refusal)(nil); errors.As(err, &r) {
			reason, detail = r.Reason, r.Detail
		}
		b.refused(reason, "message not taken", "detail", detail)
		return
	}
	for _, p := range pubs {
		p.Via = "zeromq"
		p.From = from.from
		if !from.principal.MayPublish(p.Namespace, p.Room) {
			b.forbidden(from, "publication refused", "room", p.Room)
			continue
		}
		if _, err := b.hub.Publish(p); err != nil && !errors.Is(err, hub.ErrDuplicate) {
			b.refused(reasonPublish, "publication refused", "room", p.Room, "error", err)
		}
	}
}

// parse runs the layout, which may be the application's. When it panics over one message it loses that
// message, not the process: it holds nothing of ours.
func parse(frames [][]byte, f Format) (pubs []hub.Publication, err error) {
	defer func() {
		if v := recover(); v != nil {
			pubs, err = nil, refuse(reasonLayout, "the layout panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return f.Layout.Parse(frames, f)
}
