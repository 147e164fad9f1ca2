package socketio

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// dialDeflate opens a session whose client takes compressed messages, and takes its open packet.
func (f *fixture) dialDeflate(t *testing.T, version int, query string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := ws.Dialer{Extensions: []httphead.Option{wsflate.DefaultParameters.Option()}}
	conn, r, hs, err := d.Dial(ctx, strings.Replace(f.wsURL(), "EIO=4", fmt.Sprintf("EIO=%d", version), 1)+query)
	if err != nil {
		t.Fatal(err)
	}
	if len(hs.Extensions) != 1 {
		t.Fatalf("negotiated %v", hs.Extensions)
	}
	c := newClient(t, conn, r)
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid":"`) {
		t.Fatalf("opened with %s", m)
	}
	return c
}

// One room, all wires of WebSockets, with and without compression: each gets the message as its client understands it.
func TestCompressedRoomOfAllWires(t *testing.T) {
	o := allowed()
	o.server.Engine.PerMessageDeflate = &engineio.Deflate{}
	f := serveEcho(t, o)
	packing := f.beside(t, Options{Parser: Msgpack, Engine: engineio.Options{PerMessageDeflate: &engineio.Deflate{}}})

	young, old, oldText := f.dialDeflate(t, 4, ""), f.dialDeflate(t, 3, ""), f.dialDeflate(t, 3, "&b64=1")
	young.connect("/", "")
	young.want(`42["auth",{}]`)
	plain, _ := f.join(t, "/")
	for _, c := range []*client{old, oldText} {
		c.want("40", `42["auth",{}]`)
	}
	for _, c := range []*client{young, plain, old, oldText} {
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
	}
	packer := packing.dialDeflate(t, 4, "")
	packer.connectPacked("/")
	packer.sendBinary(packed(Event, "/", 0, `["join","room"]`))
	packer.wantPacked(Ack, "/", 0, `["ok"]`)

	long := strings.Repeat("ä long message ", 200)
	zeros := make([]byte, 3000)
	const place = `{"_placeholder":true,"num":0}`
	for range 2 {
		young.send(`42["say","room","` + long + `"]`)
		for _, c := range []*client{young, plain, old, oldText} {
			c.want(`42["said","` + long + `"]`)
		}
		packer.wantPacked(Event, "/", hub.NoAck, `["said","`+long+`"]`)
		young.send(`451-["say","room",` + place + `]`)
		young.sendBinary(zeros)
		for _, c := range []*client{young, plain, old, oldText} {
			c.want(`451-["said",` + place + `]`)
		}
		young.wantBinary(zeros)
		plain.wantBinary(zeros)
		old.wantBinary(append([]byte{4}, zeros...))
		oldText.want("b4" + strings.Repeat("AAAA", len(zeros)/3))
		packer.wantPacked(Event, "/", hub.NoAck, `["said",`+place+`]`, zeros)
	}
	for name, c := range map[string]*client{"4": young, "3": old, "3 with base64": oldText, "msgpack": packer} {
		if c.inflated != 4 {
			t.Errorf("%s: %d messages were compressed, want 4", name, c.inflated)
		}
	}
	if plain.inflated != 0 {
		t.Error("a client that had not offered it got compressed messages")
	}
}
