package zeromq

import (
	"bytes"

	"greenroom/hub"
)

// TextSpace takes one frame "room payload", cut at the first space: what the weather server of ZeroMQ's guide sends.
// The event is Format.Event.
var TextSpace Layout = separated{by: ' '}

// TextColon is TextSpace with a colon: "room:payload".
var TextColon Layout = separated{by: ':'}

type separated struct{ by byte }

func (l separated) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	return parse(l, frames, f)
}

func (l separated) read(r *reader, frames [][]byte) error {
	if len(frames) != 1 {
		return refuse(reasonShape, "%d frames: one is wanted, the room and its payload with %q between them", len(frames), l.by)
	}
	at := bytes.IndexByte(frames[0], l.by)
	if at < 0 {
		return refuse(reasonShape, "no %q between a room and its payload", l.by)
	}
	to, err := r.address(frames[0][:at])
	if err != nil {
		return err
	}
	if r.unnamed != nil {
		return r.unnamed
	}
	v, err := r.format.Payload.read(frames[0][at+1:], r.lends)
	if err != nil {
		return err
	}
	r.add(to, r.format.Event, []any{v})
	return nil
}
