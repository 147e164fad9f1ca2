package zeromq

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"greenroom/hub"
)

// Layout reads the messages of an ingress endpoint. Parse turns the frames of one message into
// publications, or says why it cannot with a [*Refusal]: it must not guess. frames is never empty;
// its bytes belong to the layout, which may keep them in the publications. Parse is called from many
// goroutines.
type Layout interface {
	Parse(frames [][]byte, f Format) ([]hub.Publication, error)
}

// Refusal is why a message is not taken. Reason is a constant to count under, Detail is for the log.
type Refusal struct {
	Reason string
	Detail string
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Detail }

func refuse(reason, format string, args ...any) error {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// layout is one of ours. read adds the publications of one message to r; the frames are only lent.
type layout interface {
	Layout
	read(r *reader, frames [][]byte) error
}

// Greenroom is the default layout; the package comment describes it.
var Greenroom Layout = greenroom{}

type greenroom struct{}

func (l greenroom) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	return parse(l, frames, f)
}

func (greenroom) read(r *reader, frames [][]byte) error {
	if len(frames) == 1 {
		if len(frames[0]) > 0 && frames[0][0] == '{' {
			return readEnvelope(r, frames[0])
		}
		return refuse(reasonShape, "one frame that is no JSON object: a room and a payload are wanted")
	}
	to, err := r.address(frames[0])
	if err != nil {
		return err
	}
	event, payloads := r.format.Event, frames[1:]
	if len(frames) > 2 {
		event, err = r.event(frames[1])
		payloads = frames[2:]
	} else {
		err = r.unnamed
	}
	if err != nil {
		return err
	}
	args, err := r.format.Payload.readAll(payloads, r.lends)
	if err != nil {
		return err
	}
	r.add(to, event, args)
	return nil
}

// maxBinaries is the most binary values of one publication: as many attachments as Socket.IO clients take in
// one packet.
const maxBinaries = 10

func checkBinaries(n int) error {
	if n > maxBinaries {
		return refuse(reasonBinaries, "%d binary values, at most %d are taken", n, maxBinaries)
	}
	return nil
}

func errPlaceholder() error {
	return refuse(reasonPlaceholder, `JSON with "_placeholder" beside binary data could be taken for it`)
}

// topicSeparator stands between namespace and room in a topic.
const topicSeparator = "#"

// splitTopic separates "/chat#lobby"; a topic without a namespace is a room of def.
func splitTopic(topic, def string) (namespace, room string) {
	if strings.HasPrefix(topic, "/") {
		if ns, room, ok := strings.Cut(topic, topicSeparator); ok {
			return ns, room
		}
	}
	return def, topic
}

const (
	maxTopic     = 255 // bytes of a room, an event or a subscription
	maxNamespace = 255 // bytes
)

// checkAddress holds namespace and room against the rules.
func checkAddress(namespace, room string) error {
	if err := hub.CheckRoom(room); err != nil {
		return refuse(reasonRoom, "room %.64q: %s", room, sentence(err))
	}
	if len(namespace) == 0 || len(namespace) > maxNamespace || namespace[0] != '/' || !printable(namespace) {
		return refuse(reasonNamespace, `namespace %.64q: want 1 to %d bytes of UTF-8 that start with "/", without control characters`, namespace, maxNamespace)
	}
	return nil
}

// checkEvent holds an event's name against the rules.
func checkEvent(event string) error {
	switch {
	case event == "":
		return refuse(reasonEvent, "the event has no name")
	case len(event) > maxTopic, !utf8.ValidString(event):
		return refuse(reasonEvent, "event %.64q is longer than %d bytes or not UTF-8", event, maxTopic)
	case hub.ReservedEvent(event), event == presenceEvent:
		return refuse(reasonEvent, "event %q is reserved: only the server sends it", event)
	}
	return nil
}

// presenceEvent tells members who is here. It has to be the server's word.
const presenceEvent = "presence"

// sentence is a refusal of the hub's without its code, which the reason says already.
func sentence(err error) string {
	if e := (*hub.Error)(nil); errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// printable reports whether s is UTF-8 without control characters.
func printable(s string) bool {
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return utf8.ValidString(s)
}
