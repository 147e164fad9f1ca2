package zeromq

import (
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

// ingress is what the bridge has for publishers beside its endpoints.
type ingress struct {
	up         *upstream
	demand     *demand // nil without Options.Demand
	publishers *publishers
}

func (in *ingress) init(b *Bridge) error {
	o := &b.opts
	if err := checkConnect(o.Connect); err != nil {
		return &BindError{"connect", err}
	}
	for name, f := range map[string]Format{"pull": o.PullFormat, "sub": o.SubFormat} {
		if err := f.check(); err != nil {
			return &BindError{name, err}
		}
	}
	if err := o.checkDemand(b.hub); err != nil {
		return &BindError{"sub", err}
	}
	in.up = newUpstream(o.SubTopics)
	if o.Demand {
		in.demand = newDemand(b, in.up)
		b.egress.topics.wanted = in.demand.subscribers
	}
	in.publishers = newPublishers(b)
	return nil
}

func (o *Options) checkDemand(h Hub) error {
	_, watches := h.(watcher)
	switch {
	case !o.Demand:
		return nil
	case len(o.SubTopics) > 0:
		return errors.New("subscribing on demand and to topics exclude each other")
	case o.SubFormat.Fanout == Cluster:
		return errors.New("subscribing on demand asks for what this node's members hear: its fan-out is local")
	case !o.SubFormat.namesRooms():
		return errors.New("subscribing on demand needs a layout whose messages begin with their room")
	case !watches:
		return errors.New("subscribing on demand needs a hub that has WatchRooms")
	}
	return nil
}

func (in *ingress) start(h Hub) {
	if in.demand != nil {
		in.demand.start(h.(watcher))
	}
	in.publishers.start()
}

// close ends what is not an endpoint. Idempotent.
func (in *ingress) close() {
	in.publishers.close()
	if in.demand != nil {
		in.demand.close()
	}
}

// servePull reads what a PUSH peer sends, one message at a time, as fast as the hub takes them.
func (b *Bridge) servePull(p *peer) error {
	in := lending(&b.opts.PullFormat)
	defer in.later.close()
	var frames [][]byte
	for {
		if b.hub.Saturated() {
			b.hub.Count(reasonPaused)
			for b.hub.Saturated() {
				if !p.endpoint.sleep(pullPause) {
					return nil
				}
			}
		}
		var err error
		if frames, err = p.guard.Next(frames); err != nil {
			return err
		}
		b.ingest(p, in, frames, nil)
	}
}

// serveSub subscribes to a PUB peer that has connected and reads what it sends.
func (b *Bridge) serveSub(p *peer) error {
	b.up.attach(p.guard)
	defer b.up.detach(p.guard)
	return b.hear(p, lending(&b.opts.SubFormat), func() {})
}

// hear reads what a publisher sends. Not reading would not hold it back but make it drop unseen: what the hub cannot
// take is dropped and counted here.
func (b *Bridge) hear(p *peer, in *reader, each func()) error {
	defer in.later.close()
	var frames [][]byte
	for {
		var err error
		if frames, err = p.guard.Next(frames); err != nil {
			return err
		}
		each()
		switch {
		case b.demand == nil && !b.wanted(frames[0]):
			b.refused(reasonUnwanted, "dropped a message that was not subscribed to", "remote", p.remote)
		case b.hub.Saturated():
			b.refused(reasonSaturated, "dropped a message, the hub is saturated", "remote", p.remote)
		default:
			b.ingest(p, in, frames, b.demand)
		}
	}
}

// wanted filters again what publishers should have filtered.
func (b *Bridge) wanted(topic []byte) bool {
	for _, prefix := range b.opts.SubTopics {
		if len(topic) >= len(prefix) && string(topic[:len(prefix)]) == prefix {
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

// ingest publishes one message of a peer's, or counts why not. With only, it drops what nobody has asked for.
func (b *Bridge) ingest(from *peer, in *reader, frames [][]byte, only *demand) {
	missed := in.missed
	err := in.guarded(frames)
	if in.missed > missed {
		b.refused(reasonGap, "a publisher's counter says that messages were lost", "remote", from.remote, "messages", in.missed-missed)
	}
	if err != nil {
		reason, detail := reasonShape, err.Error()
		if r := (*Refusal)(nil); errors.As(err, &r) {
			reason, detail = r.Reason, r.Detail
		}
		b.refused(reason, "message not taken", "socket", from.endpoint.typ, "remote", from.remote, "detail", detail)
		return
	}
	for i := range in.pubs {
		p := &in.pubs[i]
		p.Via = "zeromq"
		p.From = from.from
		p.Local = in.format.Fanout == Local
		p.Retain = p.Retain || in.format.Retain && !p.Volatile
		if only != nil && !only.hears(p.Namespace, p.Room) {
			b.hub.Count(reasonUndemanded)
			continue
		}
		if !from.principal.MayPublish(p.Namespace, p.Room) {
			b.forbidden(from, "publication refused", "room", p.Room)
			continue
		}
		b.publish(from, in, p)
	}
}

// publish has the hub publish. Where other nodes are asked about an id it goes on meanwhile, and keeps the order of the
// publisher's messages.
func (b *Bridge) publish(from *peer, in *reader, p *hub.Publication) {
	if h, ok := b.hub.(*hub.Hub); ok && (p.ID != "" && !p.Local && h.Options().Adapter != nil || in.later.running()) {
		if !in.later.running() {
			in.later.begin()
		}
		finish, room := h.BeginPublish(*p), p.Room
		in.later.do(func() {
			_, err := finish()
			b.published(room, err)
		})
		return
	}
	_, err := b.hub.Publish(*p)
	b.published(p.Room, err)
}

func (b *Bridge) published(room string, err error) {
	if err != nil && !errors.Is(err, hub.ErrDuplicate) {
		b.refused(reasonPublish, "publication refused", "room", room, "error", err)
	}
}

// guarded is read with a layout that may be the application's. When it panics over one message it loses that
// message, not the process: it holds nothing of ours.
func (r *reader) guarded(frames [][]byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = refuse(reasonLayout, "the layout panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return r.read(frames)
}
