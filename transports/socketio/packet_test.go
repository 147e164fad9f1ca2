package socketio

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// vectors were made by socket.io-parser 4.2.7, the official encoder and decoder. In their data
// {"$hex": "…"} is a binary value and {"$undefined": true} JavaScript's undefined.
type vectors struct {
	Encode []struct {
		Packet      vectorPacket
		Text        string
		Attachments []string
	}
	Decode []struct {
		Text        string
		Attachments []string
		Packet      *vectorPacket
		Error       string
		Pending     bool
	}
}

type vectorPacket struct {
	Type int
	Nsp  string
	ID   *int64
	Data json.RawMessage
}

func (p *vectorPacket) id() int64 {
	if p.ID == nil {
		return hub.NoAck
	}
	return *p.ID
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/sio5.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// value decodes a vector's data.
func value(t testing.TB, raw json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return plain(t, v)
}

func plain(t testing.TB, v any) any {
	t.Helper()
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = plain(t, x[i])
		}
	case map[string]any:
		if s, ok := x["$hex"].(string); ok {
			return unhex(t, s)
		}
		for k, e := range x {
			if m, ok := e.(map[string]any); ok && m["$undefined"] == true {
				delete(x, k) // as JSON.stringify does
				continue
			}
			x[k] = plain(t, e)
		}
		if x["$undefined"] == true {
			return nil
		}
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// notEncoded are the vectors that this server does not encode byte by byte like Node.js, and why.
var notEncoded = map[string]string{
	`{"sid":"a","pid":"b"}`: "connection state recovery does not exist",
	`[1,"numeric name"]`:    "the hub's events have names",
	`</script>&<>`:          "encoding/json writes U+2028 as an escape and a lone surrogate as U+FFFD",
}

// frame encodes a vector as the server would send it.
func (p *vectorPacket) frame(t testing.TB) *hub.Frame {
	t.Helper()
	switch PacketType('0' + byte(p.Type)) {
	case Connect, Disconnect:
		var data bytes.Buffer
		if p.Data != nil {
			if err := json.Compact(&data, p.Data); err != nil {
				t.Fatal(err)
			}
		}
		return packetFrame(PacketType('0'+byte(p.Type)), p.Nsp, p.id(), hub.Payload{JSON: data.Bytes()})
	case ConnectError:
		var e hub.ConnectError
		if err := json.Unmarshal(p.Data, &e); err != nil {
			t.Fatal(err)
		}
		return packetFrame(ConnectError, p.Nsp, p.id(), hub.Payload{JSON: errorJSON(&e)})
	}
	args := value(t, p.Data).([]any)
	if PacketType('0'+byte(p.Type)) == Ack {
		m, err := hub.EncodeArgs("", args...)
		if err != nil {
			t.Fatal(err)
		}
		// The hub's acks are the same arguments without an event's name in front.
		m.JSON = append([]byte("["), bytes.TrimPrefix(bytes.TrimPrefix(m.JSON, []byte(`[""`)), []byte(","))...)
		return packetFrame(Ack, p.Nsp, p.id(), m)
	}
	name := args[0].(string)
	m, err := hub.EncodeArgs(name, args[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return hub.MessageFrame(&hub.Message{Namespace: p.Nsp, Event: name, Payload: m, Ack: p.id()})
}

func TestEncodesLikeTheOfficialParser(t *testing.T) {
	skipped := 0
vectors:
	for _, v := range loadVectors(t).Encode {
		for part := range notEncoded {
			if strings.Contains(v.Text, part) {
				skipped++
				continue vectors
			}
		}
		t.Run(v.Text, func(t *testing.T) {
			f := v.Packet.frame(t)
			var attachments [][]byte
			for _, a := range v.Attachments {
				attachments = append(attachments, unhex(t, a))
			}
			if got, want := f.Bytes(wires.WebSocket), webSocketBytes(t, v.Text, attachments); !bytes.Equal(got, want) {
				t.Errorf("WebSocket:\n got %q\nwant %q", got, want)
			}
			if got, want := f.Bytes(wires.Polling), pollingBytes(v.Text, attachments); !bytes.Equal(got, want) {
				t.Errorf("polling:\n got %q\nwant %q", got, want)
			}
		})
	}
	if skipped != len(notEncoded) {
		t.Errorf("%d vectors are not encoded, want %d", skipped, len(notEncoded))
	}
}

// webSocketBytes writes the frames with the library, which the server does not use for it.
func webSocketBytes(t testing.TB, text string, attachments [][]byte) []byte {
	t.Helper()
	var w bytes.Buffer
	frames := []ws.Frame{ws.NewTextFrame([]byte("4" + text))}
	for _, a := range attachments {
		frames = append(frames, ws.NewBinaryFrame(a))
	}
	for _, f := range frames {
		if err := ws.WriteFrame(&w, f); err != nil {
			t.Fatal(err)
		}
	}
	return w.Bytes()
}

func pollingBytes(text string, attachments [][]byte) []byte {
	parts := []string{"4" + text}
	for _, a := range attachments {
		parts = append(parts, "b"+base64.StdEncoding.EncodeToString(a))
	}
	return []byte(strings.Join(parts, "\x1e"))
}

// The strings of JavaScript that encoding/json writes with other bytes mean the same all the same.
func TestStringsKeepTheirMeaning(t *testing.T) {
	args := []any{"</script>&<>", "\u2028\u2029", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é€😀", "__proto__"}
	p, err := hub.EncodeArgs("u", args...)
	if err != nil {
		t.Fatal(err)
	}
	text := appendMessage(nil, &hub.Message{Namespace: "/", Event: "u", Payload: p, Ack: hub.NoAck})
	if !bytes.Contains(text, []byte(`"</script>&<>"`)) {
		t.Errorf("HTML is escaped: %s", text)
	}
	back, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	if err := json.Unmarshal(back.JSON, &all); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all[1:], args) {
		t.Errorf("got %q, want %q", all[1:], args)
	}
}

func TestConnectErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"an error of the application":   {os.ErrPermission, `{"message":"permission denied"}`},
		"with data":                     {&hub.ConnectError{Message: "no", Data: map[string]any{"code": "E"}}, `{"message":"no","data":{"code":"E"}}`},
		"without data":                  {&hub.ConnectError{Message: "no"}, `{"message":"no"}`},
		"text that HTML would escape":   {&hub.ConnectError{Message: `<a> & "b"`}, `{"message":"<a> & \"b\""}`},
		"data that cannot be encoded":   {&hub.ConnectError{Message: "no", Data: func() {}}, `{"message":"no"}`},
		"data that encodes in an error": {&hub.ConnectError{Message: "no", Data: json.RawMessage("{")}, `{"message":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(errorJSON(c.err)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
