package hub

import (
	"encoding/json"
	"errors"
	"fmt"
)

var (
	// ErrUnknownNamespace: no handler was registered for the namespace.
	ErrUnknownNamespace = errors.New("unknown namespace")
	// ErrTooManyNamespaces: a client asked for one more than [Options.MaxNamespaces].
	ErrTooManyNamespaces = errors.New("too many namespaces")
	// ErrTooManyRooms: a session is in as many rooms as [Options.MaxRooms] lets it.
	ErrTooManyRooms error = &Error{Code: "too_many_rooms", Message: "in as many rooms already as a session may be in"}
	// ErrTooManyPrefixes: a session has joined as many prefixes as [Options.MaxPrefixes] lets it.
	ErrTooManyPrefixes error = &Error{Code: "too_many_prefixes", Message: "as many prefixes joined already as a session may have"}
	// ErrTooManyAsks: as many answers of the client are waited for as [Options.MaxAsks] lets it owe.
	ErrTooManyAsks = errors.New("too many answers pending")
	// ErrGone: the client has left, or was disconnected.
	ErrGone = errors.New("the client is gone")
	// ErrOverloaded: a client sent more than its inbox may hold; the transport closes the connection.
	ErrOverloaded = errors.New("too many events waiting for the session's handler")
	// ErrSlowConsumer: a client does not read what is sent to it and its outbox is full.
	ErrSlowConsumer = errors.New("slow consumer: outbox full")
	// ErrHandled: the namespace has a handler already.
	ErrHandled = errors.New("the namespace has a handler already")
	// ErrReservedEvent: the event's name belongs to the protocol.
	ErrReservedEvent = errors.New("reserved event name")
	// ErrOffsetGone: a [Sequencer] does not have everything behind a place any more.
	ErrOffsetGone = errors.New("the messages behind an offset are gone")
	// ErrClosed: the hub was closed.
	ErrClosed = errors.New("hub closed")
	// ErrDuplicate: a publication with this id was accepted within [Options.DedupWindow].
	ErrDuplicate = errors.New("duplicate publication")
)

// Error is a refusal that a client can act on: it is acked as {ok:false, error:{code, message}}.
type Error struct {
	Code    string `json:"code"`    // a short constant in snake_case
	Message string `json:"message"` // a sentence for people
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refusal(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ConnectError refuses a connection from a middleware; Data reaches the client as `err.data`.
type ConnectError struct {
	Message string
	Data    any
}

func (e *ConnectError) Error() string { return e.Message }

// errMiddlewarePanicked refuses a client when a middleware did not get to decide.
var errMiddlewarePanicked = &ConnectError{Message: "internal error"}

// refusalPayload is what a client's ack gets when its call failed.
func refusalPayload(err error) Payload {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: "error", Message: err.Error()}
	}
	body, mErr := json.Marshal([]any{map[string]any{"ok": false, "error": e}})
	if mErr != nil { // two strings always marshal
		body = []byte(`[{"ok":false,"error":{"code":"error","message":"refused"}}]`)
	}
	return Payload{JSON: body}
}
