package engineio

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/gobwas/ws"
)

// vectors were made by running the JavaScript reference implementation.
type vectors struct {
	EncodePayload []struct {
		Packets []vectorPacket
		Payload string
	}
	EncodeWebSocket []struct {
		Packet vectorPacket
		Frame  struct {
			Text   *string
			Binary *string
		}
	}
	DecodePayload []struct {
		Payload string
		Packets []vectorPacket
	}
}

type vectorPacket struct {
	Type string
	Data json.RawMessage
}

// data is the packet's content: text, or bytes in hex.
func (p vectorPacket) data(t *testing.T) (data []byte, binary bool) {
	t.Helper()
	if p.Data == nil {
		return nil, false
	}
	var bin struct {
		Hex *string `json:"$hex"`
	}
	if json.Unmarshal(p.Data, &bin) == nil && bin.Hex != nil {
		b, err := hex.DecodeString(*bin.Hex)
		if err != nil {
			t.Fatal(err)
		}
		return b, true
	}
	var text string
	if err := json.Unmarshal(p.Data, &text); err != nil {
		t.Fatal(err)
	}
	return []byte(text), false
}

func loadVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/eio4.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var packetTypes = map[string]PacketType{
	"open": PacketOpen, "close": PacketClose, "ping": PacketPing, "pong": PacketPong,
	"message": PacketMessage, "upgrade": PacketUpgrade, "noop": PacketNoop,
}

func TestPayloadVectorsDecode(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.DecodePayload {
		rest := []byte(c.Payload)
		more := true
		for _, want := range c.Packets {
			if !more {
				t.Fatalf("%q: the body ended before %v", c.Payload, want)
			}
			var p Packet
			var err error
			p, rest, more, err = NextPacket(rest)
			if want.Type == "error" {
				if err == nil {
					t.Errorf("%q: decoded %v, wanted an error", c.Payload, p)
				}
				more = false
				break
			}
			data, binary := want.data(t)
			if err != nil || p.Type != packetTypes[want.Type] || p.Type.String() != want.Type || p.Binary != binary || !bytes.Equal(p.Data, data) {
				t.Errorf("%q: got %v %v %q, %v; wanted %v %q", c.Payload, p.Type, p.Binary, p.Data, err, want.Type, data)
			}
		}
		if more {
			t.Errorf("%q: more packets than expected", c.Payload)
		}
	}
}

func TestPayloadVectorsEncode(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.EncodePayload {
		var got []byte
		for i, p := range c.Packets {
			if i > 0 {
				got = append(got, separator)
			}
			data, binary := p.data(t)
			switch {
			case binary:
				got = AppendPollingBinary(got, data)
			case p.Type == "message":
				got = AppendPolling(got, data, nil)
			default:
				got = append(append(got, byte(packetTypes[p.Type])), data...)
			}
		}
		if string(got) != c.Payload {
			t.Errorf("got %q, wanted %q", got, c.Payload)
		}
	}
	for _, c := range v.EncodeWebSocket {
		data, binary := c.Packet.data(t)
		var got, want []byte
		switch {
		case binary:
			raw, err := hex.DecodeString(*c.Frame.Binary)
			if err != nil {
				t.Fatal(err)
			}
			got = append(appendFrameHeader(nil, ws.OpBinary, len(data)), data...)
			want = ws.MustCompileFrame(ws.NewBinaryFrame(raw))
		case c.Packet.Type == "message":
			got = EncodeWebSocket(data, nil)
			want = ws.MustCompileFrame(ws.NewTextFrame([]byte(*c.Frame.Text)))
		default:
			text := string(packetTypes[c.Packet.Type]) + string(data)
			got = Wires{Polling: 1}.packetFrame(text).Bytes(0)
			want = ws.MustCompileFrame(ws.NewTextFrame([]byte(*c.Frame.Text)))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: got %x, wanted %x", c.Packet, got, want)
		}
	}
}

func TestMessageWithAttachments(t *testing.T) {
	text, atts := []byte("51-x"), [][]byte{{1, 2, 3, 4}, nil}
	if got, want := string(EncodePolling(text, atts)), "451-x\x1ebAQIDBA==\x1eb"; got != want {
		t.Errorf("polling: %q, wanted %q", got, want)
	}
	var want []byte
	want = append(want, ws.MustCompileFrame(ws.NewTextFrame([]byte("451-x")))...)
	want = append(want, ws.MustCompileFrame(ws.NewBinaryFrame(atts[0]))...)
	want = append(want, ws.MustCompileFrame(ws.NewBinaryFrame(nil))...)
	if got := EncodeWebSocket(text, atts); !bytes.Equal(got, want) {
		t.Errorf("websocket: %x, wanted %x", got, want)
	}
	if n := pollingSize(text, atts); n != len(EncodePolling(text, atts)) {
		t.Errorf("pollingSize %d", n)
	}
}

func TestFrameHeaderIsTheLibrarys(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xffff, 0x10000, 1 << 30} {
		var want bytes.Buffer
		if err := ws.WriteHeader(&want, ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(n)}); err != nil {
			t.Fatal(err)
		}
		if got := appendFrameHeader(nil, ws.OpText, n); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d: %x, wanted %x", n, got, want.Bytes())
		}
	}
}

// FuzzPayload: whatever a body holds, decoding ends, and what was decoded can be
// encoded and decoded again to the same.
func FuzzPayload(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		more := true
		rest := body
		for more {
			var p Packet
			var err error
			before := len(rest)
			p, rest, more, err = NextPacket(rest)
			if err != nil {
				return
			}
			if more && len(rest) >= before {
				t.Fatal("no progress")
			}
			var again []byte
			if p.Binary {
				again = AppendPollingBinary(nil, p.Data)
			} else {
				again = append([]byte{byte(p.Type)}, p.Data...)
			}
			q, _, more2, err := NextPacket(again)
			if err != nil || more2 || q.Type != p.Type || q.Binary != p.Binary || !bytes.Equal(q.Data, p.Data) {
				t.Fatalf("%q decodes to %v, encodes to %q, decodes to %v, %v", body, p, again, q, err)
			}
		}
	})
}
