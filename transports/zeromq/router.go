package zeromq

import (
	"encoding/json"
	"errors"
	"strings"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// What the two ROUTER endpoints, control and workers, have in common. An answer goes to the connection that the
// request came by, whatever identity its peer claims, and takes its place in that connection's bounded queue: it
// never waits, so that no peer holds up another.

// Reasons of the two endpoints to count under.
const (
	reasonAnswerDropped = "zeromq_answer_dropped"     // one answer not queued for a peer that does not read
	reasonControl       = "zeromq_control_refused"    // a request that was not served, for a reason without a counter
	reasonControlShape  = "zeromq_control_shape"      // a request without an envelope that ends
	reasonNoWorkers     = "zeromq_no_workers"         // an event for which there was no worker
	reasonWorkQueue     = "zeromq_work_queue_full"    // an event beyond WorkOptions.MaxQueue or MaxQueueBytes
	reasonWorkTimeout   = "zeromq_work_timeout"       // an event that no worker has answered in WorkOptions.Timeout
	reasonWorkerDied    = "zeromq_worker_died"        // an event whose worker died, and that is not sent again
	reasonRedelivered   = "zeromq_work_redelivered"   // an event sent again, because its worker has died
	reasonWorkClosing   = "zeromq_work_closing"       // an event that the server's end, or its client's, came before
	reasonWorkerSilent  = "zeromq_worker_silent"      // a worker ended for want of heartbeats
	reasonWorkerMessage = "zeromq_bad_worker_message" // a worker's message that makes no sense
	reasonUnserved      = "zeromq_worker_unserved"    // a worker registered for a namespace that workers do not serve
	reasonLateAnswer    = "zeromq_work_late_answer"   // an answer to what nobody waits for
	reasonControlPanic  = "zeromq_control_panic"      // a request made the server panic: a mistake of ours
)

// maxEnvelope is the most frames of an envelope: each proxy between a REQ socket and here adds one.
const maxEnvelope = 16

// splitEnvelope separates what has to be sent back in front of the answer, the frames up to the first empty one, from
// the request. A DEALER may leave the envelope out: then the first frame is one that begins a request.
func splitEnvelope(frames [][]byte, begins func([]byte) bool) (envelope, body [][]byte, ok bool) {
	if begins(frames[0]) {
		return nil, frames, true
	}
	for i, f := range frames {
		if i > maxEnvelope {
			break
		}
		if len(f) == 0 {
			return frames[:i+1], frames[i+1:], true
		}
	}
	return nil, nil, false
}

// send queues a message for the peer, behind the envelope of its request. false: there is no room for it.
func (p *peer) send(envelope, body [][]byte) bool {
	n := 0
	for _, f := range envelope {
		n += len(f) + 9
	}
	for _, f := range body {
		n += len(f) + 9
	}
	wire := make([]byte, 0, n)
	for _, f := range envelope {
		wire = guard.AppendFrame(wire, f, true)
	}
	for i, f := range body {
		wire = guard.AppendFrame(wire, f, i < len(body)-1)
	}
	return p.guard.TrySend(wire)
}

// answer sends what a peer that does not read loses when its queue is full. One that goes on like that for
// Options.SlowAfter is disconnected.
func (p *peer) answer(envelope [][]byte, body ...[]byte) {
	if p.send(envelope, body) {
		return
	}
	if p.guard.Sending() {
		b := p.endpoint.bridge
		b.refused(reasonAnswerDropped, "a peer does not read its answers, one was dropped", "socket", p.endpoint.typ, "remote", p.remote)
		if p.guard.SlowFor() > b.opts.SlowAfter {
			p.guard.Fail(&guard.Violation{Reason: reasonSlow, Detail: "it does not read its answers"})
		}
	}
}

// errNeedsHub: the endpoints that answer look into the hub, where others only publish and listen.
var errNeedsHub = errors.New("it needs a *hub.Hub")

// codedError is what a request is refused with.
type codedError struct{ code, text string }

func (e *codedError) Error() string { return e.code + ": " + e.text }

func coded(code, text string) error { return &codedError{code, text} }

// errorCode is an error as the peer is told it: a constant, and a sentence. reason is what it is counted under,
// otherwise unless the error has a reason of its own.
func errorCode(err error, otherwise string) (code, text, reason string) {
	var (
		own     *codedError
		refusal *Refusal
		refused *hub.Error
	)
	switch {
	case errors.As(err, &own):
		return own.code, own.text, otherwise
	case errors.As(err, &refusal):
		return strings.TrimPrefix(refusal.Reason, "zeromq_"), refusal.Detail, refusal.Reason
	case errors.As(err, &refused):
		return refused.Code, refused.Message, otherwise
	case errors.Is(err, hub.ErrClosed):
		return "closing", "the server is stopping", otherwise
	case errors.Is(err, hub.ErrReservedEvent):
		return "reserved_event", "the event's name is reserved", otherwise
	}
	return "failed", err.Error(), otherwise
}

// field is one key of a JSON object and where its value goes.
type field struct {
	key  string
	into any
}

// readObject reads a JSON object's fields. Keys must match to the letter, as in the envelope of a publication; others
// are ignored. Nothing at all is an empty object.
func readObject(raw []byte, fields ...field) error {
	if len(raw) == 0 {
		return nil
	}
	compact, err := readJSON(raw)
	if err != nil {
		return err
	}
	var values map[string]json.RawMessage
	if compact == nil || json.Unmarshal(compact, &values) != nil || values == nil {
		return coded("bad_request", "a JSON object is wanted")
	}
	for _, f := range fields {
		value, ok := values[f.key]
		if !ok || string(value) == "null" {
			continue
		}
		if err := json.Unmarshal(value, f.into); err != nil {
			return coded("bad_request", f.key+": "+err.Error())
		}
	}
	return nil
}

// readRef checks what a peer pairs answers with: a string of at most 255 bytes or a number, echoed as it came.
func readRef(key string, ref json.RawMessage) error {
	if len(ref) == 0 {
		return nil
	}
	if c := ref[0]; len(ref) > maxIDBytes+2 || c != '"' && c != '-' && (c < '0' || c > '9') {
		return coded("bad_request", key+" is a number, or a string of at most 255 bytes")
	}
	return nil
}

// addBinaries appends the frames behind a request to a publication's arguments.
func addBinaries(args []any, frames [][]byte) ([]any, error) {
	n := len(frames)
	for _, a := range args {
		if isBinary(a) {
			n++
		} else if len(frames) > 0 && holdsPlaceholder(a) {
			return nil, errPlaceholder()
		}
	}
	if err := checkBinaries(n); err != nil {
		return nil, err
	}
	for _, f := range frames {
		args = append(args, f)
	}
	return args, nil
}

// namespaceCalled finds a namespace of the hub's.
func namespaceCalled(h *hub.Hub, name string) (*hub.Namespace, error) {
	if name == "" {
		name = "/"
	}
	if ns := h.Find(name); ns != nil {
		return ns, nil
	}
	return nil, coded("unknown_namespace", "no such namespace")
}

// addressee is the session, or sessions, or user, that a command names.
type addressee struct {
	namespace string
	sessions  stringList
	user      string
}

// maxAddressed is the most sessions that one command names.
const maxAddressed = 1000

func (a *addressee) fields() []field {
	return []field{{"nsp", &a.namespace}, {"session", &a.sessions}, {"user", &a.user}}
}

func (a *addressee) target(h *hub.Hub) (t hub.Target, err error) {
	ns, err := namespaceCalled(h, a.namespace)
	switch {
	case err != nil:
		return t, err
	case (len(a.sessions) > 0) == (a.user != ""):
		return t, coded("bad_request", "a session or a user is wanted")
	case a.user != "":
		return ns.User(a.user), hub.CheckUser(a.user)
	case len(a.sessions) > maxAddressed:
		return t, coded("bad_request", "too many sessions at once")
	}
	for _, id := range a.sessions {
		if err := hub.CheckRoom(id); err != nil { // "$…" would be a room of the hub's own
			return t, coded("bad_request", "not a session's id")
		}
		if ns.Session(id) == nil && ns.HasRoom(id) {
			return t, coded("bad_request", "that is a room, not a session")
		}
	}
	return ns.To(a.sessions...), nil
}

// stringList is a string or an array of strings.
type stringList = roomList
