package socketio

import (
	"bytes"
	"encoding/json"
	"net/url"

	"greenroom/hub"
)

// Clients of Socket.IO 1.x and 2.x speak protocol 4, over Engine.IO 3. Events and acks are the same. What differs:
// the server connects a client to "/" without being asked; nothing but the query of a namespace says who the client
// is; the answer to a CONNECT has no id, because the client makes one of the Engine.IO session's; and a refusal is
// the bare message, or the bare data.

// wire3 registers a wire of protocol 4.
func wire3(name string, encode func(text []byte, attachments [][]byte, base64Only bool) []byte, base64Only bool) hub.Wire {
	return hub.RegisterWire(name, func(m *hub.Message) []byte {
		var scratch [512]byte
		return encode(appendMessage(scratch[:0], m), m.Payload.Attachments, base64Only)
	})
}

// SessionID implements [hub.Identifier]. Clients of protocol 4 take the same for their id, whatever the server says.
func (c *conn) SessionID(namespace string) string {
	switch {
	case !c.v4:
		return ""
	case namespace == "/":
		return c.sock.ID()
	}
	return namespace + "#" + c.sock.ID()
}

// queryAuth is the object of a query's parameters, which stands in for the auth payload of protocol 5. Of a repeated
// one the last counts; what is wrongly escaped stays as it is.
func queryAuth(query []byte) json.RawMessage {
	type parameter struct{ name, value string }
	var list []parameter
	at := make(map[string]int)
	for pair := range bytes.SplitSeq(query, []byte{'&'}) {
		if len(pair) == 0 {
			continue
		}
		k, v, _ := bytes.Cut(pair, []byte{'='})
		name, value := unescape(k), unescape(v)
		i, again := at[name]
		if !again {
			i = len(list)
			at[name] = i
			list = append(list, parameter{name: name})
		}
		list[i].value = value
	}
	if len(list) == 0 {
		return noAuth
	}
	var w bytes.Buffer
	for i, p := range list {
		w.WriteByte("{,"[min(i, 1)])
		w.Write(jsonString(p.name))
		w.WriteByte(':')
		w.Write(jsonString(p.value))
	}
	w.WriteByte('}')
	return w.Bytes()
}

func unescape(s []byte) string {
	text, err := url.QueryUnescape(string(s))
	if err != nil {
		return string(s)
	}
	return text
}

// jsonString is a text as JSON; what is not UTF-8 is replaced.
func jsonString(s string) []byte {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(w.Bytes(), []byte("\n"))
}

// errorJSON4 is what protocol 4 makes of the payload of a CONNECT_ERROR: the data, or else the message. Data that
// JavaScript takes for nothing is none.
func errorJSON4(reason []byte) []byte {
	var body struct{ Message, Data json.RawMessage }
	if json.Unmarshal(reason, &body) != nil { // it was marshalled a moment ago
		return reason
	}
	switch string(body.Data) {
	case "", "null", "false", "0", `""`:
		return body.Message
	}
	return body.Data
}
