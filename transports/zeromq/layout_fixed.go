package zeromq

import (
	"encoding/binary"
	"encoding/json"

	"greenroom/hub"
)

// JSONType takes one frame, a JSON object {"type": …, "data": …, "room": …}: the event, its argument, and the room,
// which is Format.Room when it is not named. Keys are matched to the letter, others are ignored; the payload rule has
// no part in it.
var JSONType Layout = jsonType{}

type jsonType struct{}

func (l jsonType) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	return parse(l, frames, f)
}

func (jsonType) read(r *reader, frames [][]byte) error {
	if len(frames) != 1 {
		return refuse(reasonShape, "%d frames: one is wanted, a JSON object", len(frames))
	}
	compact, err := readJSON(frames[0])
	if err != nil {
		return err
	}
	var values map[string]json.RawMessage
	if compact == nil || json.Unmarshal(compact, &values) != nil || values == nil {
		return refuse(reasonShape, "a frame that is no JSON object")
	}
	event, err := word(values, "type")
	if err != nil {
		return err
	}
	name, err := r.event([]byte(event))
	if err != nil {
		return err
	}
	room, err := word(values, "room")
	if err != nil {
		return err
	}
	to, err := r.fixed()
	if room != "" {
		to, err = r.address([]byte(room))
	}
	if err != nil {
		return err
	}
	args := []any{}
	if data, ok := values["data"]; ok {
		args = append(args, data)
	}
	r.add(to, name, args)
	return nil
}

// word is a string of an object, "" when it is not there.
func word(values map[string]json.RawMessage, key string) (s string, err error) {
	if raw, ok := values[key]; ok && json.Unmarshal(raw, &s) != nil {
		return "", refuse(reasonShape, "%q is no string", key)
	}
	return s, nil
}

// Bitcoin takes what Bitcoin Core publishes: [topic, body, counter]. The topic is the event and, without Format.Room,
// the room; the body is binary, unless the payload rule is another than Auto; the counter, 32 bits in little endian
// for each topic, tells whether messages were lost, which is counted.
var Bitcoin Layout = bitcoin{}

type bitcoin struct{}

func (l bitcoin) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	return parse(l, frames, f)
}

func (bitcoin) read(r *reader, frames [][]byte) error {
	if len(frames) != 3 || len(frames[2]) != 4 {
		return refuse(reasonShape, "%d frames: a topic, a body and a counter of 4 bytes are wanted", len(frames))
	}
	event, err := r.event(frames[0])
	if err != nil {
		return err
	}
	to, err := r.address(frames[0])
	if r.format.Room != "" {
		to, err = r.fixed()
	}
	if err != nil {
		return err
	}
	v, err := r.format.Payload.elseBinary().read(frames[1], r.lends)
	if err != nil {
		return err
	}
	r.count(event, binary.LittleEndian.Uint32(frames[2]))
	r.add(to, event, []any{v})
	return nil
}

// maxCounters is the most topics whose counters one connection has watched. Bitcoin Core has five.
const maxCounters = 256

// count compares a topic's counter with its last one. A smaller one is that of a publisher that has begun anew.
func (r *reader) count(topic string, n uint32) {
	last, known := r.counters[topic]
	if !known && len(r.counters) >= maxCounters {
		return
	}
	if r.counters == nil {
		r.counters = make(map[string]uint32)
	}
	r.counters[topic] = n
	if ahead := n - last; known && ahead > 1 && ahead < 1<<31 {
		r.missed += uint64(ahead - 1)
	}
}

// Raw takes whatever comes: all frames are arguments of Format.Event in Format.Room, and binary, unless the payload
// rule is another than Auto.
var Raw Layout = raw{}

type raw struct{}

func (l raw) Parse(frames [][]byte, f Format) ([]hub.Publication, error) { return parse(l, frames, f) }

func (raw) read(r *reader, frames [][]byte) error {
	if r.unnamed != nil {
		return r.unnamed
	}
	to, err := r.fixed()
	if err != nil {
		return err
	}
	args, err := r.format.Payload.elseBinary().readAll(frames, r.lends)
	if err != nil {
		return err
	}
	r.add(to, r.format.Event, args)
	return nil
}

// elseBinary is the rule of layouts whose bytes mean something else than text.
func (r PayloadRule) elseBinary() PayloadRule {
	if r == Auto {
		return Binary
	}
	return r
}
