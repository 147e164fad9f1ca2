package zeromq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/hub"
)

// The words that begin the messages between workers and the server, see docs/workers.md.
const (
	wordReady     = "READY"
	wordCredit    = "CREDIT"
	wordEvent     = "EVENT"
	wordAck       = "ACK"
	wordFail      = "FAIL"
	wordEmit      = "EMIT"
	wordPublish   = "PUBLISH"
	wordJoin      = "JOIN"
	wordLeave     = "LEAVE"
	wordKick      = "KICK"
	wordResult    = "RESULT"
	wordError     = "ERROR"
	wordHeartbeat = "HEARTBEAT"
	wordBye       = "BYE"
)

// workerVersion is the protocol's.
const workerVersion = 1

// Bounds of what a worker says.
const (
	maxWorkerNames  = 256             // namespaces, and events, of a worker
	maxWorkerCredit = 10_000          // events at once
	maxParallel     = 64              // events of one session at once
	maxSessionData  = 4 << 10         // bytes of a session's data, which go with each of its events
	minHeartbeat    = time.Second / 5 // shortest interval
	maxHeartbeat    = time.Hour
	defHeartbeat    = 5 * time.Second
	heartbeats      = 3 // intervals without a sign of life that end a worker
)

// beginsWorker reports whether a frame is a word that workers say.
func beginsWorker(frame []byte) bool {
	switch string(frame) {
	case wordReady, wordCredit, wordAck, wordFail, wordEmit, wordPublish, wordJoin, wordLeave, wordKick, wordHeartbeat, wordBye:
		return true
	}
	return false
}

// readyMessage is what a worker registers with.
type readyMessage struct {
	version            int
	namespaces, events []string
	credit, parallel   int
	sticky, fails      bool
	heartbeat          time.Duration
	name               string
}

func parseReady(body [][]byte) (r readyMessage, err error) {
	var namespaces, events stringList
	var seconds float64
	death := "redispatch"
	r.credit, r.parallel, seconds = 1, 1, defHeartbeat.Seconds()
	if len(body) != 2 {
		return r, coded("bad_message", "READY has one frame more, a JSON object")
	}
	err = readObject(body[1],
		field{"version", &r.version}, field{"nsp", &namespaces}, field{"events", &events}, field{"credit", &r.credit},
		field{"parallel", &r.parallel}, field{"sticky", &r.sticky}, field{"on_death", &death}, field{"heartbeat", &seconds},
		field{"name", &r.name})
	if err != nil {
		return r, err
	}
	if len(namespaces) == 0 {
		namespaces = stringList{"/"}
	}
	r.namespaces, r.events, r.fails = distinct(namespaces), distinct(events), death == "fail"
	r.heartbeat = time.Duration(seconds * float64(time.Second))
	switch {
	case r.version != workerVersion:
		return r, coded("bad_version", fmt.Sprintf("version %d is spoken here, not %d", workerVersion, r.version))
	case len(r.namespaces) > maxWorkerNames || len(r.events) > maxWorkerNames:
		return r, coded("bad_message", fmt.Sprintf("at most %d namespaces and events", maxWorkerNames))
	case len(r.events) == 0:
		return r, coded("bad_message", `events: which? ["*"] is all of them`)
	case r.credit < 0 || r.credit > maxWorkerCredit:
		return r, coded("bad_message", fmt.Sprintf("credit is 0 to %d", maxWorkerCredit))
	case r.parallel < 1 || r.parallel > maxParallel:
		return r, coded("bad_message", fmt.Sprintf("parallel is 1 to %d", maxParallel))
	case death != "redispatch" && death != "fail":
		return r, coded("bad_message", `on_death is "redispatch" or "fail"`)
	case !(seconds == 0 || seconds >= minHeartbeat.Seconds() && seconds <= maxHeartbeat.Seconds()):
		return r, coded("bad_message", fmt.Sprintf("heartbeat is %v to %v in seconds, or 0 for none", minHeartbeat.Seconds(), maxHeartbeat.Seconds()))
	case len(r.name) > maxTopic:
		return r, coded("bad_message", "name is too long")
	}
	for _, e := range r.events {
		if e == "" || len(e) > maxTopic {
			return r, coded("bad_message", fmt.Sprintf("an event has 1 to %d bytes", maxTopic))
		}
	}
	for _, ns := range r.namespaces {
		if ns == "" || ns[0] != '/' || len(ns) > maxNamespace {
			return r, coded("bad_message", `a namespace starts with "/"`)
		}
	}
	return r, nil
}

// distinct is a list without what stands in it before.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// parseCredit reads [CREDIT, n].
func parseCredit(body [][]byte) (int, error) {
	if len(body) == 2 {
		if n, err := strconv.Atoi(string(body[1])); err == nil && n >= 0 && n <= maxWorkerCredit {
			return n, nil
		}
	}
	return 0, coded("bad_message", fmt.Sprintf("CREDIT has one frame more, a number up to %d", maxWorkerCredit))
}

// parseAnswer reads [ACK, tag, args?, binary…] and [FAIL, tag, {code, message, data}].
func parseAnswer(body [][]byte) (tag uint64, o outcome, err error) {
	if len(body) < 2 {
		return 0, o, coded("bad_message", "an answer has the event's tag")
	}
	if tag, err = strconv.ParseUint(string(body[1]), 10, 64); err != nil {
		return 0, o, coded("bad_message", "the tag is none")
	}
	if string(body[0]) == wordFail {
		o.err, o.data, err = parseFailure(body[2:])
		o.refused = true
		return tag, o, err
	}
	o.args, err = parseArgs(body[2:])
	return tag, o, err
}

// parseFailure reads why an event was refused, which may be left out.
func parseFailure(frames [][]byte) (why *hub.Error, data json.RawMessage, err error) {
	why = &hub.Error{Code: "refused", Message: "refused"}
	if len(frames) > 1 {
		return why, nil, coded("bad_message", "FAIL has at most one frame behind the tag")
	}
	if len(frames) == 1 {
		err = readObject(frames[0], field{"code", &why.Code}, field{"message", &why.Message}, field{"data", &data})
	}
	if len(why.Code) > maxTopic || len(why.Message) > maxSessionData || len(data) > maxSessionData {
		return why, nil, coded("bad_message", "FAIL: too long")
	}
	return why, data, err
}

// parseArgs reads a JSON array of arguments with the binary values behind it. Those that no placeholder stands for come
// behind the others. The array is nothing when it was left out.
func parseArgs(frames [][]byte) (hub.Payload, error) {
	p := hub.Payload{JSON: []byte("[]")}
	if len(frames) == 0 {
		return p, nil
	}
	if len(frames[0]) > 0 {
		compact, err := readJSON(frames[0])
		if err != nil {
			return p, err
		}
		if len(compact) == 0 || compact[0] != '[' {
			return p, coded("bad_message", "the arguments are a JSON array")
		}
		p.JSON = compact
	}
	p.Attachments = frames[1:]
	return p, checkBinaries(len(p.Attachments))
}

// values are the arguments as Emit and Publish take them.
func values(p hub.Payload) ([]any, error) {
	parts, err := p.Split()
	if err != nil {
		return nil, coded("bad_message", "the arguments are a JSON array")
	}
	if len(parts) > maxEnvelopeArgs {
		return nil, coded("bad_message", fmt.Sprintf("at most %d arguments", maxEnvelopeArgs))
	}
	args := make([]any, 0, len(parts)+len(p.Attachments))
	placed := false
	for _, raw := range parts {
		if len(p.Attachments) == 0 || !holdsPlaceholder(raw) {
			args = append(args, raw)
			continue
		}
		var v any
		if err := p.Decode(raw, &v); err != nil {
			return nil, coded("bad_message", err.Error())
		}
		args = append(args, v)
		placed = true
	}
	if !placed {
		for _, b := range p.Attachments {
			args = append(args, b)
		}
	}
	return args, nil
}

// acceptance is what a worker says of a client that it lets in.
type acceptance struct {
	user  string
	rooms []string
	data  json.RawMessage
}

// parseAcceptance reads the first argument of the answer to "connect", which may be left out.
func parseAcceptance(p hub.Payload) (a acceptance, err error) {
	parts, err := p.Split()
	if err != nil || len(parts) == 0 || string(parts[0]) == "null" {
		return a, err
	}
	if err := readObject(parts[0], field{"user", &a.user}, field{"rooms", &a.rooms}, field{"data", &a.data}); err != nil {
		return a, err
	}
	if a.user != "" {
		if err := hub.CheckUser(a.user); err != nil {
			return a, err
		}
	}
	for _, room := range a.rooms {
		if err := hub.CheckRoom(room); err != nil {
			return a, err
		}
	}
	if len(a.data) > maxSessionData {
		return a, coded("bad_message", fmt.Sprintf("data of more than %d bytes", maxSessionData))
	}
	return a, nil
}

// eventHead is the header of an event, but for what says how often it was sent.
type eventHead struct {
	Session   string          `json:"session"`
	Namespace string          `json:"nsp"`
	Event     string          `json:"event"`
	User      string          `json:"user,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Ack       bool            `json:"ack,omitempty"`
}

func (h eventHead) encode() []byte {
	raw, err := marshal(h)
	if err != nil { // data is JSON
		raw = []byte("{}")
	}
	return raw[:len(raw)-1]
}

// headOf is the header of a job as it is sent now.
func headOf(j *job) []byte {
	head := slices.Clip(j.head)
	if j.sent > 1 {
		head = append(head, `,"redelivered":`...)
		head = strconv.AppendInt(head, int64(j.sent-1), 10)
	}
	return append(head, '}')
}

// frames are the event's message.
func (j *job) frames() [][]byte {
	return append([][]byte{[]byte(wordEvent), strconv.AppendUint(nil, j.id, 10), headOf(j), j.args}, j.payload.Attachments...)
}

// argsOf joins raw arguments to an array.
func argsOf(raw []json.RawMessage) []byte {
	n := 2
	for _, r := range raw {
		n += len(r) + 1
	}
	out := append(make([]byte, 0, n), '[')
	for i, r := range raw {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r...)
	}
	return append(out, ']')
}

// commandHead splits a command into its header and what stands behind it.
func commandHead(body [][]byte) (head []byte, rest [][]byte, err error) {
	if len(body) < 2 {
		return nil, nil, coded("bad_message", string(body[0])+" has a header, a JSON object")
	}
	return body[1], body[2:], nil
}

// firstWord is the first frame of a message, fit for a log.
func firstWord(body [][]byte) string {
	if len(body) == 0 {
		return ""
	}
	return strings.ToValidUTF8(string(bytes.TrimSpace(body[0][:min(len(body[0]), 32)])), "?")
}
