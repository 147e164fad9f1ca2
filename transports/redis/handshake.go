package redis

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"greenroom/hub"
)

// A session as the official adapters tell it: what fetchSockets is answered with. Unknown keys are ignored there, and
// Greenroom adds one of its own.
type wireSocket struct {
	ID        string          `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     looseNames      `json:"rooms"`
	Data      json.RawMessage `json:"data"`
	Ours      *wireOurs       `json:"greenroom,omitempty"`
}

// wireOurs is what a Greenroom node tells another one beside.
type wireOurs struct {
	Transport  string `json:"transport,omitempty"`
	Connection string `json:"connection,omitempty"`
}

// looseNames are rooms in JSON, of which Node.js has numbers too.
type looseNames []string

func (l *looseNames) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil || len(list) > maxRooms {
		return errMalformed
	}
	*l = make([]string, 0, len(list))
	for _, raw := range list {
		*l = append(*l, looseName(raw))
	}
	return nil
}

// looseName is readName for JSON.
func looseName(raw json.RawMessage) string {
	var name string
	if len(raw) == 0 || raw[0] != '"' {
		return numberName(raw)
	}
	if json.Unmarshal(raw, &name) != nil || len(name) > maxRoomName {
		return ""
	}
	return name
}

// appendSocket appends a session as JSON. ours has what Greenroom nodes alone understand added.
func appendSocket(dst []byte, s *hub.Snapshot, ours bool) []byte {
	dst = appendText(append(dst, `{"id":`...), s.ID)
	dst = appendHandshake(append(dst, `,"handshake":`...), s.Handshake)
	dst = appendText(append(dst, `,"rooms":[`...), s.ID)
	for _, room := range s.Rooms {
		dst = appendText(append(dst, ','), room)
	}
	dst = append(dst, `],"data":`...)
	if data, ok := s.Data.(json.RawMessage); ok && len(data) > 0 {
		dst = append(dst, data...)
	} else {
		dst = append(dst, "{}"...) // as Node.js has it when nobody has set anything
	}
	if ours {
		if extra, err := json.Marshal(wireOurs{s.Transport, s.Connection}); err == nil {
			dst = append(append(dst, `,"greenroom":`...), extra...)
		}
	}
	return append(dst, '}')
}

// maxSocket bounds what one session of another node takes: objects made of text take many times its size.
const maxSocket = 1 << 20

// eachElement calls fn with the text of each element of an array. One after the other: an array of many small ones would
// take many times its size. It reports whether it is an array.
func eachElement(raw []byte, fn func(element []byte)) bool {
	s := scan(raw)
	s.array(func() {
		if element := s.value(); s.ok {
			fn(element)
		}
	})
	return s.end()
}

// eachSocket calls fn with each session of a list that is one.
func eachSocket(raw []byte, namespace string, fn func(hub.Snapshot)) bool {
	return eachElement(raw, func(element []byte) {
		var w wireSocket
		if len(element) > maxSocket || json.Unmarshal(element, &w) != nil {
			return
		}
		if s, ok := w.snapshot(namespace); ok {
			fn(s)
		}
	})
}

// snapshot is what a session of another node is here.
func (w *wireSocket) snapshot(namespace string) (s hub.Snapshot, ok bool) {
	if w.ID == "" {
		return s, false
	}
	s = hub.Snapshot{ID: w.ID, Namespace: namespace, Handshake: readHandshake(w.Handshake)}
	for _, room := range w.Rooms {
		if room != "" && room != w.ID {
			s.Rooms = append(s.Rooms, room)
		}
	}
	if data, err := compact(w.Data); err == nil && len(data) > 0 {
		s.Data = json.RawMessage(data)
	}
	if w.Ours != nil {
		s.Transport, s.Connection = w.Ours.Transport, w.Ours.Connection
	}
	return s, true
}

// appendHandshake appends what Node.js calls socket.handshake, with its keys in its order.
func appendHandshake(dst []byte, h *hub.Handshake) []byte {
	if h == nil || h.Request == nil {
		h = &hub.Handshake{Request: &hub.Request{}}
	}
	dst = appendHeaders(append(dst, `{"headers":`...), h.Header())
	// As new Date(…).toString() writes it.
	dst = appendText(append(dst, `,"time":`...), h.Issued.UTC().Format("Mon Jan 02 2006 15:04:05 GMT+0000 (Coordinated Universal Time)"))
	address, _, err := net.SplitHostPort(h.RemoteAddr)
	if err != nil {
		address = h.RemoteAddr
	}
	dst = appendText(append(dst, `,"address":`...), address)
	rest, _ := json.Marshal(struct {
		XDomain bool            `json:"xdomain"`
		Secure  bool            `json:"secure"`
		Issued  int64           `json:"issued"`
		URL     string          `json:"url"`
		Query   json.RawMessage `json:"query"`
	}{h.XDomain, h.Secure, h.Issued.UnixMilli(), h.URL, queryJSON(h.Query())})
	dst = append(append(dst, ','), rest[1:len(rest)-1]...)
	dst = append(dst, `,"auth":`...)
	if len(h.Auth) > 0 && json.Valid(h.Auth) {
		dst = append(dst, h.Auth...)
	} else {
		dst = append(dst, "{}"...)
	}
	return append(dst, '}')
}

// appendHeaders writes headers as Node.js has them: names in lower case, values that came several times in one text.
func appendHeaders(dst []byte, h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, strings.ToLower(name))
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		dst = appendText(append(dst, ':'), strings.Join(h[name], separator))
	}
	return append(dst, '}')
}

// queryJSON is an object of texts, and of lists of those that came several times.
func queryJSON(q url.Values) json.RawMessage {
	object := make(map[string]any, len(q))
	for name, values := range q {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	text, _ := json.Marshal(object) // texts always encode
	return text
}

// readHandshake makes what a hub knows of what another node says. What is missing, or not of its type, is left out.
func readHandshake(raw json.RawMessage) *hub.Handshake {
	var w struct {
		Headers map[string]any  `json:"headers"`
		Address any             `json:"address"`
		XDomain any             `json:"xdomain"`
		Secure  any             `json:"secure"`
		Issued  any             `json:"issued"`
		URL     any             `json:"url"`
		Auth    json.RawMessage `json:"auth"`
	}
	_ = json.Unmarshal(raw, &w) // an error leaves out what it is about
	r := hub.Request{}
	r.RemoteAddr, _ = w.Address.(string)
	r.URL, _ = w.URL.(string)
	r.XDomain, _ = w.XDomain.(bool)
	r.Secure, _ = w.Secure.(bool)
	if ms, ok := w.Issued.(float64); ok {
		r.Issued = time.UnixMilli(int64(max(min(ms, maxMillis), -maxMillis)))
	}
	header := make(http.Header, len(w.Headers))
	for name, value := range w.Headers {
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch v := value.(type) {
		case string:
			header.Add(name, v)
		case []any: // set-cookie
			for _, x := range v {
				if text, ok := x.(string); ok {
					header.Add(name, text)
				}
			}
		}
	}
	auth, err := compact(w.Auth)
	if err != nil || len(auth) == 0 {
		auth = []byte("{}")
	}
	return &hub.Handshake{Request: r.WithHeader(header), Auth: auth}
}

// maxMillis is how far JavaScript's dates go to either side of 1970.
const maxMillis = 8_640_000_000_000_000
