package socketio

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// msgpackBounds are the bounds of a server whose options say nothing.
var msgpackBounds = decoding{attachments: maxBinaries, depth: maxDepth}

// msgpackVector is what socket.io-msgpack-parser 3.0.2 writes for a packet, and what we read it as.
type msgpackVector struct {
	JS       string
	Hex      string
	Type     byte
	Nsp      string
	ID       *int64
	JSON     string
	Binaries []string
}

func (v msgpackVector) packet(t testing.TB) (Packet, [][]byte) {
	p := Packet{Type: '0' + PacketType(v.Type), Namespace: []byte(v.Nsp), ID: hub.NoAck}
	if v.ID != nil {
		p.ID = *v.ID
	}
	if v.JSON != "" {
		p.JSON = []byte(v.JSON)
	}
	if p.Type == Event {
		var args []any
		if err := json.Unmarshal(p.JSON, &args); err != nil {
			t.Fatal(err)
		}
		p.Event = args[0].(string)
	}
	var binaries [][]byte
	for _, b := range v.Binaries {
		binaries = append(binaries, unhex(t, b))
	}
	return p, binaries
}

func loadMsgpackVectors(t testing.TB) []msgpackVector {
	t.Helper()
	b, err := os.ReadFile("testdata/msgpack.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []msgpackVector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMsgpackDecodesLikeTheOfficialParser(t *testing.T) {
	for _, v := range loadMsgpackVectors(t) {
		t.Run(v.JS, func(t *testing.T) {
			p, binaries, err := decodeMsgpack(unhex(t, v.Hex), msgpackBounds)
			if err != nil {
				t.Fatal(err)
			}
			want, parts := v.packet(t)
			if !reflect.DeepEqual(p, want) || !reflect.DeepEqual(binaries, parts) {
				t.Errorf("got %+v and %x,\nwant %+v and %x", p, binaries, want, parts)
			}
		})
	}
}

// What a server of Node.js has sent in the same case, without its undefined pid and with our order of fields.
func TestMsgpackFrames(t *testing.T) {
	payload := func(json string, binaries ...string) hub.Payload {
		p := hub.Payload{JSON: []byte(json)}
		for _, b := range binaries {
			p.Attachments = append(p.Attachments, []byte(b))
		}
		return p
	}
	direct := func(namespace string, id int64, p hub.Payload) *hub.Frame {
		return hub.MessageFrame(&hub.Message{Namespace: namespace, Payload: p, Ack: id})
	}
	for name, c := range map[string]struct {
		frame *hub.Frame
		want  string
	}{
		"CONNECT":       {Msgpack.frame(Connect, "/", hub.NoAck, payload(`{"sid":"wyqn88KeGRWVXo7FAAAA"}`)), "\x83\xa4type\x00\xa4data\x81\xa3sid\xb4wyqn88KeGRWVXo7FAAAA\xa3nsp\xa1/"},
		"CONNECT_ERROR": {Msgpack.frame(ConnectError, "/nope", hub.NoAck, payload(`{"message":"Invalid namespace"}`)), "\x83\xa4type\x04\xa4data\x81\xa7message\xb1Invalid namespace\xa3nsp\xa5/nope"},
		"DISCONNECT":    {Msgpack.frame(Disconnect, "/custom", hub.NoAck, hub.Payload{}), "\x82\xa4type\x01\xa3nsp\xa7/custom"},
		"ACK":           {Msgpack.frame(Ack, "/", 0, payload(`[5]`)), "\x84\xa4type\x03\xa4data\x91\x05\xa2id\x00\xa3nsp\xa1/"},
		"ACK, binary":   {Msgpack.frame(Ack, "/", 300, payload(`[{"_placeholder":true,"num":0}]`, "x")), "\x84\xa4type\x03\xa4data\x91\xc4\x01x\xa2id\xcd\x01\x2c\xa3nsp\xa1/"},
		"EVENT":         {direct("/", hub.NoAck, payload(`["all","x"]`)), "\x83\xa4type\x02\xa4data\x92\xa3all\xa1x\xa3nsp\xa1/"},
		"EVENT, asking": {direct("/", 0, payload(`["q"]`)), "\x84\xa4type\x02\xa4data\x91\xa1q\xa2id\x00\xa3nsp\xa1/"},
		"EVENT, binary": {direct("/a", hub.NoAck, payload(`["s",1,"two",{"b":{"_placeholder":true,"num":0}},null,1.5,-1,70000]`, "\x01\x02")),
			"\x83\xa4type\x02\xa4data\x98\xa1s\x01\xa3two\x81\xa1b\xc4\x02\x01\x02\xc0\xcb?\xf8\x00\x00\x00\x00\x00\x00\xff\xce\x00\x01\x11p\xa3nsp\xa2/a"},
		// A payload that is no JSON cannot come this far. If one does the client goes on living.
		"EVENT, broken": {direct("/", hub.NoAck, payload(`["x`)), "\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/"},
		"EVENT, long":   {direct("/", hub.NoAck, payload(`["`+strings.Repeat("n", 300)+`"]`)), "\x83\xa4type\x02\xa4data\x91\xda\x01\x2c" + strings.Repeat("n", 300) + "\xa3nsp\xa1/"},
	} {
		t.Run(name, func(t *testing.T) {
			var frame bytes.Buffer
			if err := ws.WriteFrame(&frame, ws.NewBinaryFrame([]byte(c.want))); err != nil {
				t.Fatal(err)
			}
			if got := c.frame.Bytes(msgpackWires.WebSocket); !bytes.Equal(got, frame.Bytes()) {
				t.Errorf("WebSocket:\n got %q\nwant %q", got, frame.Bytes())
			}
			if got, want := string(c.frame.Bytes(msgpackWires.Polling)), "b"+base64.StdEncoding.EncodeToString([]byte(c.want)); got != want {
				t.Errorf("polling:\n got %q\nwant %q", got, want)
			}
		})
	}
}

// malformedMsgpack are messages that end a connection.
var malformedMsgpack = map[string]struct {
	bytes string
	err   *Error
}{
	"nothing":                         {"", errNoMsgpack},
	"no map":                          {"\x93\x02\xa1/\x91\xa1x", errNoMsgpack},
	"a text":                          {"\xa1x", errNoMsgpack},
	"a map cut short":                 {"\x83\xa4type\x02", errNoMsgpack},
	"a huge map":                      {"\xdf\xff\xff\xff\xff\xa4type\x02\xa3nsp\xa1/", errNoMsgpack},
	"a field that is no text":         {"\x81\x05\x02", errNoMsgpack},
	"something behind it":             {"\x82\xa4type\x01\xa3nsp\xa1/\xc0", errNoMsgpack},
	"an empty map":                    {"\x80", errUnknownType},
	"no type":                         {"\x82\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"a type too high":                 {"\x83\xa4type\x05\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"a type far too high":             {"\x83\xa4type\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"a negative type":                 {"\x83\xa4type\xff\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"a text for a type":               {"\x83\xa4type\xa12\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"undefined for a type":            {"\x83\xa4type\xd4\x00\x00\xa3nsp\xa1/\xa4data\x91\xa1x", errUnknownType},
	"no namespace":                    {"\x82\xa4type\x02\xa4data\x91\xa1x", errNamespaceName},
	"nil for a namespace":             {"\x83\xa4type\x02\xa3nsp\xc0\xa4data\x91\xa1x", errNamespaceName},
	"an empty namespace":              {"\x83\xa4type\x02\xa3nsp\xa0\xa4data\x91\xa1x", errNamespaceName},
	"a namespace without a slash":     {"\x83\xa4type\x02\xa3nsp\xa1x\xa4data\x91\xa1x", errNamespaceName},
	"a namespace with a control":      {"\x82\xa4type\x00\xa3nsp\xa2/\x1e", errNamespaceName},
	"a namespace with a comma":        {"\x82\xa4type\x00\xa3nsp\xa3/a,", errNamespaceName},
	"a namespace that is no UTF-8":    {"\x82\xa4type\x00\xa3nsp\xa2/\xff", errNamespaceName},
	"a namespace too long":            {"\x82\xa4type\x00\xa3nsp\xda\x01\x00/" + strings.Repeat("n", maxNamespace), errNamespaceName},
	"CONNECT with an array":           {"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x90", errInvalidPayload},
	"CONNECT with a text":             {"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xa1x", errInvalidPayload},
	"DISCONNECT with a map":           {"\x83\xa4type\x01\xa3nsp\xa1/\xa4data\x80", errInvalidPayload},
	"EVENT without data":              {"\x82\xa4type\x02\xa3nsp\xa1/", errInvalidPayload},
	"EVENT with undefined":            {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xd4\x00\x00", errInvalidPayload},
	"EVENT with nil":                  {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xc0", errInvalidPayload},
	"EVENT with a map":                {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x80", errInvalidPayload},
	"EVENT with a text":               {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xa1x", errInvalidPayload},
	"EVENT with binary data":          {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xc4\x01x", errInvalidPayload},
	"EVENT without a name":            {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x90", errInvalidPayload},
	"EVENT named nil":                 {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xc0", errInvalidPayload},
	"EVENT named undefined":           {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xd4\x00\x00", errInvalidPayload},
	"EVENT named true":                {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xc3", errInvalidPayload},
	"EVENT named by binary data":      {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xc4\x01x", errInvalidPayload},
	"EVENT named by an array":         {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\x91\xa1x", errInvalidPayload},
	"EVENT with a long name":          {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xda\x03\xff" + strings.Repeat("n", maxEventName-1), errInvalidPayload},
	"EVENT connect":                   {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa7connect", errReserved},
	"EVENT disconnecting":             {"\x83\xa4type\x02\xa4data\x91\xaddisconnecting\xa3nsp\xa1/", errReserved},
	"EVENT cut short":                 {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x", errInvalidPayload},
	"EVENT with text that is not":     {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\xa1\xff", errInvalidPayload},
	"EVENT with a huge array":         {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff\xa1x", errInvalidPayload},
	"EVENT nested too deep":           {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x" + strings.Repeat("\x91", maxDepth) + "\xc0", errTooDeep},
	"EVENT nested 100 000 deep":       {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x" + strings.Repeat("\x91", 100_000) + "\xc0", errTooDeep},
	"EVENT with 1001 binary values":   {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdc\x03\xea\xa1x" + strings.Repeat("\xc4\x00", maxBinaries+1), errTooMany},
	"EVENT with a forged place":       {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x93\xa1x\xc4\x01y\x82\xac_placeholder\xc3\xa3num\x00", errAttachments},
	"EVENT with data twice":           {"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x\xa4data\x91\xa1x", errNoMsgpack},
	"EVENT with undefined and data":   {"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\xc0\xa4data\x91\xa1x", errNoMsgpack},
	"EVENT with a bad field beside":   {"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x\xa7options\xc1", errNoMsgpack},
	"EVENT with a negative id":        {"\x84\xa4type\x02\xa2id\xff\xa3nsp\xa1/\xa4data\x91\xa1x", errPacketID},
	"EVENT with a fraction for an id": {"\x84\xa4type\x02\xa2id\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa3nsp\xa1/\xa4data\x91\xa1x", errPacketID},
	"EVENT with a text for an id":     {"\x84\xa4type\x02\xa2id\xa11\xa3nsp\xa1/\xa4data\x91\xa1x", errPacketID},
	"EVENT with an id of 2^53":        {"\x84\xa4type\x02\xa2id\xcf\x00\x20\x00\x00\x00\x00\x00\x00\xa3nsp\xa1/\xa4data\x91\xa1x", errPacketID},
	"ACK without data":                {"\x83\xa4type\x03\xa2id\x01\xa3nsp\xa1/", errInvalidPayload},
	"ACK with a map":                  {"\x84\xa4type\x03\xa2id\x01\xa3nsp\xa1/\xa4data\x80", errInvalidPayload},
	"CONNECT_ERROR without data":      {"\x82\xa4type\x04\xa3nsp\xa1/", errInvalidPayload},
	"CONNECT_ERROR with an array":     {"\x83\xa4type\x04\xa3nsp\xa1/\xa4data\x90", errInvalidPayload},
}

func TestMsgpackMalformedPackets(t *testing.T) {
	for name, c := range malformedMsgpack {
		t.Run(name, func(t *testing.T) {
			if p, _, err := decodeMsgpack([]byte(c.bytes), msgpackBounds); err != c.err {
				t.Errorf("got %+v and error %v, want %v", p, err, c.err)
			}
		})
	}
}

func TestMsgpackUnusualPacketsThatAreFine(t *testing.T) {
	for name, c := range map[string]struct {
		bytes string
		want  Packet
	}{
		"fields in another order":   {"\x84\xa2id\x05\xa4data\x91\xa1x\xa3nsp\xa2/a\xa4type\x02", Packet{Type: Event, Namespace: []byte("/a"), ID: 5, JSON: []byte(`["x"]`), Event: "x"}},
		"fields nobody knows":       {"\x84\xa4type\x01\xa3nsp\xa1/\xa1a" + strings.Repeat("\x91", 1000) + "\xc0\xa1b\xd4\x01\x02", Packet{Type: Disconnect, Namespace: rootNamespace, ID: hub.NoAck}},
		"nil for what is not there": {"\x84\xa4type\x00\xa3nsp\xa1/\xa4data\xc0\xa2id\xc0", Packet{Type: Connect, Namespace: rootNamespace, ID: hub.NoAck}},
		"undefined for the same":    {"\x84\xa4type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00\xa2id\xd4\x00\x00", Packet{Type: Connect, Namespace: rootNamespace, ID: hub.NoAck}},
		"a number for a name":       {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\x07", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`[7]`), Event: "7"}},
		"a name with escapes":       {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa2\"\n", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["\"\n"]`), Event: "\"\n"}},
		"the largest id":            {"\x84\xa4type\x03\xa2id\xcf\x00\x1f\xff\xff\xff\xff\xff\xff\xa3nsp\xa1/\xa4data\x90", Packet{Type: Ack, Namespace: rootNamespace, ID: maxSafeInteger, JSON: []byte(`[]`)}},
		"a wide type":               {"\x82\xa4type\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xa3nsp\xa1/", Packet{Type: Disconnect, Namespace: rootNamespace, ID: hub.NoAck}},
		"a placeholder as data":     {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x\x82\xac_placeholder\xc3\xa3num\x09", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x",{"_placeholder":true,"num":9}]`), Event: "x"}},
		"as deep as allowed":        {"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x" + strings.Repeat("\x91", maxDepth-2) + "\x90", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x",` + deep(maxDepth-1) + `]`), Event: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := decodeMsgpack([]byte(c.bytes), msgpackBounds)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// beside starts another server for the clients of f's hub.
func (f *fixture) beside(t testing.TB, o Options) *fixture {
	t.Helper()
	other := &fixture{hub: f.hub, sio: New(f.hub, o)}
	web := httptest.NewServer(other.sio)
	other.url = web.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := other.sio.Close(ctx)
		web.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return other
}

// packed is a packet as a client with msgpack sends it.
func packed(t PacketType, namespace string, id int64, json string, binaries ...[]byte) []byte {
	p := hub.Payload{Attachments: binaries}
	if json != "" {
		p.JSON = []byte(json)
	}
	return appendMsgpack(nil, t, namespace, id, p)
}

// wantPacked takes the next message, which must be this packet in msgpack.
func (c *client) wantPacked(kind PacketType, namespace string, id int64, json string, binaries ...[]byte) {
	c.t.Helper()
	m := c.next()
	if want := packed(kind, namespace, id, json, binaries...); !m.binary || !bytes.Equal(m.data, want) {
		c.t.Fatalf("got %q, want %q", m.data, want)
	}
}

// joinPacked dials and connects to a namespace of serveEcho, in msgpack.
func (f *fixture) joinPacked(t testing.TB, namespace string) *client {
	t.Helper()
	c := f.dial(t)
	c.connectPacked(namespace)
	return c
}

func (c *client) connectPacked(namespace string) {
	c.t.Helper()
	c.sendBinary([]byte("\x83\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp" + string([]byte{0xa0 | byte(len(namespace))}) + namespace))
	m := c.next()
	p, _, err := decodeMsgpack(m.data, msgpackBounds)
	var reply struct{ SID string }
	if err != nil || p.Type != Connect || string(p.Namespace) != namespace || json.Unmarshal(p.JSON, &reply) != nil || len(reply.SID) != 20 {
		c.t.Fatalf("connecting: got %q, %v", m.data, err)
	}
	c.wantPacked(Event, namespace, hub.NoAck, `["auth",{}]`)
}

func msgpackSettings() settings { return settings{server: Options{Parser: Msgpack}} }

func TestMsgpackSession(t *testing.T) {
	f := serveEcho(t, msgpackSettings())
	c := f.joinPacked(t, "/")
	c.sendBinary(packed(Event, "/", hub.NoAck, `["message",1,"2",{"3":[true]}]`))
	c.wantPacked(Event, "/", hub.NoAck, `["message-back",1,"2",{"3":[true]}]`)

	const one, two = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	c.sendBinary(packed(Event, "/", 7, `["ack",`+one+`,{"a":[`+two+`]}]`, []byte("first"), nil))
	c.wantPacked(Ack, "/", 7, `[`+one+`,{"a":[`+two+`]}]`, []byte("first"), nil)

	// What a browser sends: a typed array, undefined and a date.
	c.sendBinary([]byte("\x85\xa4type\x02\xa4data\x94\xa3ack\xc7\x02\x00hi\xd4\x00\x00\xd7\x00\x00\x00\x00\x00\x00\x00\x05\xdc\xa7options\x81\xa8compress\xc3\xa2id\x08\xa3nsp\xa1/"))
	c.wantPacked(Ack, "/", 8, `[`+one+`,null,"1970-01-01T00:00:01.500Z"]`, []byte("hi"))

	c.connectPacked("/custom")
	c.sendBinary(packed(Disconnect, "/custom", hub.NoAck, ""), packed(Connect, "/nope", hub.NoAck, `{"a":1}`))
	c.wantPacked(ConnectError, "/nope", hub.NoAck, `{"message":"Invalid namespace"}`)
	c.alivePacked()
}

// alivePacked is alive in msgpack.
func (c *client) alivePacked() {
	c.t.Helper()
	c.sendBinary(packed(Event, "/", 99, `["ack","alive"]`))
	c.wantPacked(Ack, "/", 99, `["alive"]`)
}

func TestMsgpackOverPolling(t *testing.T) {
	f := serveEcho(t, msgpackSettings())
	base64of := func(b []byte) string { return "b" + base64.StdEncoding.EncodeToString(b) }
	p := f.poll(t)
	p.post(base64of([]byte("\x83\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp\xa1/")))
	var got []string
	for len(got) < 2 {
		got = append(got, strings.Split(p.get(), "\x1e")...)
	}
	if !strings.HasPrefix(got[0], "b") || got[1] != base64of(packed(Event, "/", hub.NoAck, `["auth",{}]`)) {
		t.Fatalf("connecting: %q", got)
	}
	send := packed(Event, "/", 1, `["ack",{"_placeholder":true,"num":0},"x"]`, bytes.Repeat([]byte("binary"), 1000))
	p.post(base64of(send))
	if got, want := p.get(), base64of(packed(Ack, "/", 1, `[{"_placeholder":true,"num":0},"x"]`, bytes.Repeat([]byte("binary"), 1000))); got != want {
		t.Errorf("got %.100q, want %.100q", got, want)
	}
}

// A room holds clients with either parser; each gets what others say in its own form.
func TestParsersShareRooms(t *testing.T) {
	f := serveEcho(t, settings{})
	packing := f.beside(t, Options{Parser: Msgpack})
	plain, _ := f.join(t, "/")
	plain.send(`420["join","room"]`)
	plain.want(`430["ok"]`)
	c := packing.joinPacked(t, "/")
	c.sendBinary(packed(Event, "/", 0, `["join","room"]`))
	c.wantPacked(Ack, "/", 0, `["ok"]`)

	both := func(json string, binaries ...[]byte) {
		t.Helper()
		c.wantPacked(Event, "/", hub.NoAck, json, binaries...)
		if len(binaries) == 0 {
			plain.want("42" + json)
			return
		}
		plain.want("45" + string(byte('0'+len(binaries))) + "-" + json)
		plain.wantBinary(binaries...)
	}
	const one, two = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	c.sendBinary(packed(Event, "/", hub.NoAck, `["say","room","packed",{"ü":[1.5,null,"\u0000"]}]`))
	both(`["said","packed",{"ü":[1.5,null,"\u0000"]}]`)
	plain.send(`42["say","room","plain",{"a":[-7]}]`)
	both(`["said","plain",{"a":[-7]}]`)
	c.sendBinary(packed(Event, "/", hub.NoAck, `["say","room",`+one+`,[`+two+`]]`, []byte("a"), []byte("b")))
	both(`["said",`+one+`,[`+two+`]]`, []byte("a"), []byte("b"))
	plain.send(`451-["say","room",` + one + `]`)
	plain.sendBinary([]byte("c"))
	both(`["said",`+one+`]`, []byte("c"))

	// More binary values than the JSON parser knows go to those who can take them.
	var places []string
	var parts [][]byte
	for i := range maxAttachments + 1 {
		parts = append(parts, []byte{byte(i)})
		places = append(places, string(must(json.Marshal(map[string]any{"_placeholder": true, "num": i}))))
	}
	many := strings.Join(places, ",")
	c.sendBinary(packed(Event, "/", hub.NoAck, `["say","room",`+many+`]`, parts...))
	c.wantPacked(Event, "/", hub.NoAck, `["said",`+many+`]`, parts...)
	c.sendBinary(packed(Event, "/", 3, `["ack",`+many+`]`, parts...))
	c.wantPacked(Ack, "/", 3, `[`+many+`]`, parts...)
	f.counted(t, "socketio_unsendable_message", 1)
	plain.alive()
	c.alivePacked()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// As with JSON: a message that makes no sense ends the connection that it came on, is counted, and nobody else
// notices.
func TestMsgpackMalformedPacketsEndTheirConnectionOnly(t *testing.T) {
	f := serveEcho(t, msgpackSettings())
	bystander := f.joinPacked(t, "/")
	bystander.sendBinary(packed(Event, "/", 0, `["join","room"]`))
	bystander.wantPacked(Ack, "/", 0, `["ok"]`)
	end := func(t *testing.T, err *Error, send func(*client)) {
		before := f.hub.Counters()[err.reason]
		peer := f.joinPacked(t, "/")
		peer.sendBinary(packed(Event, "/", 0, `["join","room"]`))
		peer.wantPacked(Ack, "/", 0, `["ok"]`)
		send(peer)
		peer.wantClosed(int(refusal(err).Status))
		f.left(t, 1)
		bystander.alivePacked()
		if after := f.hub.Counters()[err.reason]; after != before+1 {
			t.Errorf("%s is %d, want %d", err.reason, after, before+1)
		}
	}
	for name, c := range malformedMsgpack {
		t.Run(name, func(t *testing.T) {
			end(t, c.err, func(peer *client) { peer.sendBinary([]byte(c.bytes)) })
		})
	}
	t.Run("a packet of the other parser", func(t *testing.T) {
		end(t, errWantBinary, func(peer *client) { peer.send(`42["message"]`) })
	})
}

// The default parser does not know what to do with msgpack, and says so by closing.
func TestMsgpackClientOfAJSONServer(t *testing.T) {
	f := serveEcho(t, settings{})
	c := f.dial(t)
	c.sendBinary(packed(Connect, "/", hub.NoAck, ""))
	c.wantClosed(1002)
	f.counted(t, "socketio_unexpected_binary", 1)
}

// Packets as large as allowed that look for slow paths or for much memory.
func TestMsgpackLargePacketsTakeLinearTime(t *testing.T) {
	const size = 999_000
	f := serveEcho(t, msgpackSettings())
	fill := func(head, part string) []byte { return []byte(head + strings.Repeat(part, (size-len(head))/len(part))) }
	const event = "\x83\xa4type\x02\xa3nsp\xa1/\xa4data"
	for name, b := range map[string][]byte{
		"open arrays":          fill(event, "\x91"),
		"open maps":            fill(event, "\x81\xa1a"),
		"open huge arrays":     fill(event, "\xdd\xff\xff\xff\xff"),
		"empty binary values":  fill(event+"\xdd\x00\x0f\x00\x00", "\xc4\x00"),
		"undefined members":    fill(event+"\x91\xdf\x00\x0f\x00\x00", "\xa1a\xd4\x00\x00"),
		"fields nobody knows":  fill("\xdf\x00\x0f\x00\x00", "\xa1a\xc0"),
		"a field nested deep":  fill("\x84\xa4type\x01\xa3nsp\xa1/\xa1a", "\x91"),
		"data again and again": fill("\xdf\x00\x0f\x00\x00", "\xa4data\x91\xa1x"),
	} {
		t.Run(name, func(t *testing.T) {
			c := f.joinPacked(t, "/")
			c.sendBinary(b)
			m, err := c.receive()
			var closed errClosed
			if !errors.As(err, &closed) {
				t.Errorf("got %s, %v", m, err)
			}
		})
	}
	c := f.joinPacked(t, "/")
	doc := `["ack","` + strings.Repeat(`\u0000`, 150_000) + `"]`
	c.sendBinary(packed(Event, "/", 1, doc)) // grows by six on its way
	c.wantPacked(Ack, "/", 1, `["`+strings.Repeat(`\u0000`, 150_000)+`"]`)
}

// FuzzDecodeMsgpack: whatever comes, the decoder returns; what it lets through has the properties that everything
// behind it relies on, and means the same after it was written again.
func FuzzDecodeMsgpack(f *testing.F) {
	for _, v := range loadMsgpackVectors(f) {
		f.Add(unhex(f, v.Hex))
	}
	for _, c := range malformedMsgpack {
		if len(c.bytes) < 4<<10 {
			f.Add([]byte(c.bytes))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		p, binaries, err := decodeMsgpack(b, msgpackBounds)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if _, ok := err.(*Error); !ok || !reflect.DeepEqual(p, Packet{}) || binaries != nil {
				t.Fatalf("refused with %T and %+v", err, p)
			}
			return
		}
		if len(binaries) > maxBinaries || p.Attachments != 0 || p.Type > ConnectError {
			t.Fatalf("%+v with %d binary values", p, len(binaries))
		}
		checkPacket(t, &p)
		// Clients with the other parser can read it.
		asText := p
		if n := len(binaries); n > 0 && n <= maxAttachments && (p.Type == Event || p.Type == Ack) {
			asText.Type, asText.Attachments = p.Type+BinaryEvent-Event, n
		}
		if len(binaries) == 0 || asText.Attachments > 0 {
			if asText.ID > 999_999_999_999_999 {
				asText.ID = 0
			}
			if back, err := Decode(asText.Append(nil)); err != nil || !bytes.Equal(back.JSON, p.JSON) || back.Event != p.Event {
				t.Fatalf("%q as text: %+v, %v", b, back, err)
			}
		}
		out := appendMsgpack(nil, p.Type, string(p.Namespace), p.ID, hub.Payload{JSON: p.JSON, Attachments: binaries})
		again, parts, err := decodeMsgpack(out, msgpackBounds)
		if err != nil {
			t.Fatalf("%x became %x: %v", b, out, err)
		}
		if !reflect.DeepEqual(p, again) || !reflect.DeepEqual(binaries, parts) {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}

func BenchmarkDecodeMsgpack(b *testing.B) {
	const doc = `["message",{"user":"Ann","text":"what people say to each other, mostly","tags":["a","b"],"n":12.5,"at":1764000000000}]`
	b.Run("msgpack", func(b *testing.B) {
		data := packed(Event, "/", 1, doc)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := decodeMsgpack(data, msgpackBounds); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		data := []byte("21" + doc)
		b.ReportAllocs()
		for b.Loop() {
			p, err := Decode(data)
			if err != nil {
				b.Fatal(err)
			}
			_ = bytes.Clone(p.JSON) // as the receiver does
		}
	})
}

func BenchmarkEncodeMsgpack(b *testing.B) {
	p := hub.Payload{JSON: []byte(`["message",{"user":"Ann","text":"what people say to each other, mostly","tags":["a","b"],"n":12.5,"at":1764000000000}]`)}
	m := &hub.Message{Namespace: "/", Payload: p, Ack: hub.NoAck}
	b.ReportAllocs()
	for b.Loop() {
		hub.MessageFrame(m).Bytes(msgpackWires.WebSocket)
	}
}
