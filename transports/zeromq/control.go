package zeromq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/time/rate"

	"greenroom/hub"
)

// control answers the requests of REQ and DEALER sockets, see docs/control.md. Requests of one peer are served one after
// the other, on its connection's goroutine.
type control struct {
	bridge  *Bridge
	hub     *hub.Hub
	format  Format
	methods map[string]func(*controlCall) (any, error)
	started time.Time
}

func newControl(b *Bridge, h *hub.Hub) *control {
	c := &control{bridge: b, hub: h, format: Format{}.withDefaults(), started: time.Now()}
	c.methods = map[string]func(*controlCall) (any, error){
		"ping": c.ping, "publish": c.publish, "publish_batch": c.publishBatch,
		"join": c.join, "leave": c.leave, "kick": c.kick,
		"rooms": c.rooms, "members": c.members, "sessions": c.sessions, "presence": c.presence,
		"history": c.history, "snapshot": c.snapshot, "stats": c.stats,
	}
	return c
}

// controlCall is one request.
type controlCall struct {
	id     json.RawMessage
	method string
	params json.RawMessage
	frames [][]byte // binary arguments, behind the request's own frame

	peer   *peer
	bucket *rate.Limiter
}

// parseControl reads the frames of a request behind its envelope.
func parseControl(body [][]byte) (*controlCall, error) {
	r := new(controlCall)
	if len(body) == 0 {
		return r, coded("bad_request", "an empty request")
	}
	err := readObject(body[0], field{"id", &r.id}, field{"method", &r.method}, field{"params", &r.params})
	if err != nil {
		return r, err
	}
	if err := readRef("id", r.id); err != nil {
		r.id = nil
		return r, err
	}
	if r.method == "" {
		return r, coded("bad_request", "no method")
	}
	r.frames = body[1:]
	return r, nil
}

// beginsControl reports whether a frame begins a request.
func beginsControl(frame []byte) bool { return len(frame) > 0 && frame[0] == '{' }

// serve answers what one peer asks.
func (c *control) serve(p *peer) error {
	limit := rate.Limit(c.bridge.opts.ControlRate)
	bucket := rate.NewLimiter(limit, max(1, c.bridge.opts.ControlRate))
	for {
		frames, err := p.receive()
		if err != nil {
			return err
		}
		envelope, body, ok := splitEnvelope(frames, beginsControl)
		if !ok {
			c.bridge.refused(reasonControlShape, "a request without an empty frame", "remote", p.remote)
		}
		p.answer(envelope, c.respond(p, body, bucket))
	}
}

// controlAnswer is what the peer gets.
type controlAnswer struct {
	ID     json.RawMessage `json:"id,omitempty"`
	OK     bool            `json:"ok"`
	Result any             `json:"result,omitempty"`
	Code   string          `json:"code,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// respond serves one request. The answer is one frame.
func (c *control) respond(p *peer, body [][]byte, bucket *rate.Limiter) []byte {
	call, err := parseControl(body)
	call.peer, call.bucket = p, bucket
	answer := controlAnswer{ID: call.id, OK: true}
	if err == nil {
		answer.Result, err = c.call(call)
	}
	if err != nil {
		answer = c.refuse(call, err)
	}
	raw, err := marshal(answer)
	if err != nil { // nothing known makes it fail
		raw, _ = marshal(c.refuse(call, coded("internal", "the answer cannot be encoded")))
	}
	return raw
}

func (c *control) refuse(call *controlCall, err error) controlAnswer {
	code, text, reason := errorCode(err, reasonControl)
	c.bridge.refused(reason, "a request was refused", "method", clip(call.method), "code", code, "detail", text, "remote", call.peer.remote)
	return controlAnswer{ID: call.id, Code: code, Error: text}
}

// call runs the method. One that panics over one request fails it, not the process.
func (c *control) call(call *controlCall) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.bridge.refused(reasonControlPanic, "a request made the server panic", "method", call.method, "panic", v, "stack", string(debug.Stack()))
			result, err = nil, coded("internal", "the server has failed")
		}
	}()
	method := c.methods[call.method]
	if method == nil {
		return nil, coded("unknown_method", fmt.Sprintf("no method is called %.64q", call.method))
	}
	if !call.bucket.Allow() {
		return nil, coded("rate_limited", fmt.Sprintf("more than %d requests a second", c.bridge.opts.ControlRate))
	}
	return method(call)
}

// mayControl is the permission that most methods ask for.
func (c *control) mayControl(call *controlCall) error {
	if call.peer.principal.MayControl() {
		return nil
	}
	return c.forbid(call, "")
}

func (c *control) mayRead(call *controlCall, namespace, room string) error {
	if call.peer.principal.MayRead(namespace, room) {
		return nil
	}
	return c.forbid(call, room)
}

// forbid is the refusal of what the peer's principal may not do.
func (c *control) forbid(call *controlCall, room string) error {
	return &Refusal{Reason: reasonForbidden, Detail: fmt.Sprintf("%s may not do this", call.peer.principal.describe(room))}
}

// describe names a principal, and the room that is not for it.
func (p *Principal) describe(room string) string {
	who := "you"
	if p != nil && p.User != "" {
		who = fmt.Sprintf("%.64q", p.User)
	}
	if room != "" {
		return fmt.Sprintf("for room %.64q, %s", room, who)
	}
	return who
}

// marshal is encoding/json without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), err
}

// clip shortens what a peer sent for the log.
func clip(s string) string { return fmt.Sprintf("%.64q", s) }
