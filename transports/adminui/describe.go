package adminui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"greenroom/hub"
)

const (
	maxArgs   = 8 << 10 // of an event, in bytes
	maxData   = 8 << 10 // of a session
	maxHeader = 1 << 10
)

// socket is a session as the pages know it.
type socket struct {
	ID        string          `json:"id"`
	ClientID  string          `json:"clientId"`
	Transport string          `json:"transport"`
	Nsp       string          `json:"nsp"`
	Data      json.RawMessage `json:"data"`
	Handshake handshake       `json:"handshake"`
	Rooms     []string        `json:"rooms"`
}

// handshake leaves out what authenticates the client.
type handshake struct {
	Address string            `json:"address"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Issued  int64             `json:"issued"` // ms
	Secure  bool              `json:"secure"`
	Time    string            `json:"time"`
	URL     string            `json:"url"`
	XDomain bool              `json:"xdomain"`
}

// update is what has changed.
type update struct {
	ID        string          `json:"id"`
	Nsp       string          `json:"nsp"`
	Transport string          `json:"transport,omitempty"`
	Data      json.RawMessage `json:"data"`
}

// describe makes what is shown of a session, with its data in JSON. Its own id is a room, too, and the first one.
func describe(s hub.Snapshot, data json.RawMessage) socket {
	rooms := make([]string, 1, len(s.Rooms)+1)
	rooms[0] = s.ID
	for _, room := range s.Rooms {
		if room[0] != '$' { // those are the hub's
			rooms = append(rooms, room)
		}
	}
	return socket{
		ID: s.ID, ClientID: s.Connection, Transport: s.Transport, Nsp: s.Namespace,
		Data: data, Handshake: describeRequest(s.Handshake), Rooms: rooms,
	}
}

// jsTime is how JavaScript writes a time.
const jsTime = "Mon Jan 02 2006 15:04:05 GMT+0000"

func describeRequest(hs *hub.Handshake) handshake {
	if hs == nil || hs.Request == nil {
		return handshake{Headers: map[string]string{}, Query: map[string]string{}}
	}
	h := handshake{
		Address: hs.RemoteAddr,
		Headers: make(map[string]string), Query: make(map[string]string),
		Issued: hs.Issued.UnixMilli(), Time: hs.Issued.UTC().Format(jsTime) + " (Coordinated Universal Time)",
		Secure: hs.Secure, XDomain: hs.XDomain, URL: cut(hs.URL),
	}
	if host, _, err := net.SplitHostPort(hs.RemoteAddr); err == nil {
		h.Address = host
	}
	for name, values := range hs.Header() {
		name = strings.ToLower(name)
		h.Headers[name] = cut(strings.Join(values, ", "))
		switch name {
		case "authorization", "cookie", "proxy-authorization":
			h.Headers[name] = "[hidden]"
		}
	}
	for name, values := range hs.Query() {
		h.Query[cut(name)] = cut(strings.Join(values, ", "))
	}
	for _, name := range []string{"x-forwarded-for", "cf-connecting-ip"} { // as the client says, as in Node.js
		if said := h.Headers[name]; said != "" {
			h.Address = said
		}
	}
	return h
}

// cut shortens a text.
func cut(s string) string {
	if len(s) <= maxHeader {
		return s
	}
	s = s[:maxHeader]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > maxHeader-utf8.UTFMax {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// note is what stands for something that is not shown.
func note(text string) json.RawMessage {
	b, err := json.Marshal(map[string]string{"[greenroom]": text})
	if err != nil { // a string always marshals
		return json.RawMessage("{}")
	}
	return b
}

// dataJSON is a session's data as an object, on its loop.
func dataJSON(data any) (out json.RawMessage) {
	if data == nil {
		return json.RawMessage("{}")
	}
	defer func() {
		if v := recover(); v != nil { // of a MarshalJSON of the application's
			out = note(fmt.Sprintf("no JSON: %v", v))
		}
	}()
	b, err := json.Marshal(data)
	switch {
	case err != nil:
		return note("no JSON: " + cut(err.Error()))
	case len(b) > maxData:
		return note(fmt.Sprintf("%d bytes", len(b)))
	case b[0] != '{':
		return append(append([]byte(`{"value":`), b...), '}')
	}
	return b
}

// eventArgs are an event's arguments, the name first, as they are shown.
func eventArgs(p hub.Payload) json.RawMessage {
	if len(p.Attachments) == 0 && len(p.JSON) <= maxArgs {
		return p.JSON
	}
	args, err := p.Split()
	if err == nil && len(args) == 0 {
		err = errors.New("no name")
	}
	if err != nil {
		return json.RawMessage(`["?"]`)
	}
	size := len(p.JSON)
	for _, b := range p.Attachments {
		size += len(b)
	}
	out := append([]any{args[0]}, note(fmt.Sprintf("%d bytes of arguments", size)))
	if len(p.JSON) <= maxArgs {
		out = out[:1]
		for _, raw := range args[1:] {
			var v any
			if p.Decode(raw, &v) != nil {
				v = nil
			}
			out = append(out, withoutBinary(v))
		}
	}
	b, err := json.Marshal(out)
	if err != nil || len(args[0]) > maxArgs { // what was JSON is so again
		return json.RawMessage(`["?"]`)
	}
	return b
}

// withoutBinary puts a text in the place of each binary value.
func withoutBinary(v any) any {
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("[binary, %d bytes]", len(v))
	case []any:
		for i := range v {
			v[i] = withoutBinary(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withoutBinary(v[k])
		}
	}
	return v
}

// date is a time as JSON.stringify writes it.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
