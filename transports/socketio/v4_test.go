package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// allowed are settings that let clients of protocol 4 in.
func allowed() (o settings) {
	o.server.Engine.AllowEIO3 = true
	return o
}

// dial4 opens a WebSocket session of protocol 4 and returns the Engine.IO session's id.
func (f *fixture) dial4(t testing.TB, query string) (c *client, sid string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, r, _, err := ws.Dial(ctx, strings.Replace(f.wsURL(), "EIO=4", "EIO=3", 1)+query)
	if err != nil {
		t.Fatal(err)
	}
	c = newClient(t, conn, r)
	var open struct{ SID string }
	if m := c.next(); !strings.HasPrefix(m.text, "0") || json.Unmarshal([]byte(m.text[1:]), &open) != nil {
		t.Fatalf("opened with %s", m)
	}
	return c, open.SID
}

// poller4 is the client's end of a polling session of protocol 4.
type poller4 struct {
	t        testing.TB
	url, sid string
}

func (f *fixture) poll4(t testing.TB, query string) *poller4 {
	t.Helper()
	p := &poller4{t: t, url: f.url + "/socket.io/?EIO=3&transport=polling" + query}
	open, _ := p.get()
	_, rest, _ := strings.Cut(strings.ReplaceAll(open, `\"`, `"`), `{"sid":"`)
	p.sid, _, _ = strings.Cut(rest, `"`)
	if len(p.sid) != 20 {
		t.Fatalf("opened with %q", open)
	}
	p.url += "&sid=" + p.sid
	t.Cleanup(func() {
		_, _ = p.post("1:1", "text/plain") // the session may be over already
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

func (p *poller4) get() (body, contentType string) {
	p.t.Helper()
	res, err := http.Get(p.url)
	return p.read(res, err)
}

func (p *poller4) post(body, contentType string) (answer, _ string) {
	p.t.Helper()
	res, err := http.Post(p.url, contentType, strings.NewReader(body))
	return p.read(res, err)
}

func (p *poller4) read(res *http.Response, err error) (body, contentType string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b), res.Header.Get("Content-Type")
}

// say posts, and wants an answer in the next polls.
func (p *poller4) say(body, contentType, want, wantType string) {
	p.t.Helper()
	if a, _ := p.post(body, contentType); a != "ok" {
		p.t.Fatalf("POST %q: %q", body, a)
	}
	p.want(want, wantType)
}

func (p *poller4) want(want, wantType string) {
	p.t.Helper()
	if got, contentType := p.get(); got != want || contentType != wantType {
		p.t.Fatalf("GET: %q, %s, wanted %q", got, contentType, want)
	}
}

// serve4 starts the server that a recorded conversation of the Node.js server's was had with.
func serve4(t *testing.T, o settings) *fixture {
	t.Helper()
	f := serve(t, o)
	handler := func(s *hub.Session) error {
		for ev := range s.Events() {
			args := arguments(ev)
			var err error
			switch ev.Name {
			case "echo":
				err = s.Emit("back", args...)
			case "ack":
				err = ev.Ack(args...)
			case "q":
				var answer string
				answer, err = hub.Ask[string](s, patience, "ask", 1)
				err = errors.Join(err, s.Emit("acked", answer))
			case "who":
				err = ev.Ack(s.ID(), s.Handshake().Auth)
			case "to":
				err = s.Hub().Of(s.Namespace()).To(args[0].(string)).Emit("said", args[1:]...)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	f.handle(t, "/", handler)
	f.handle(t, "/custom", handler)
	f.hub.Of("/").Use(func(s *hub.Session) error {
		switch s.Handshake().Query().Get("bad") {
		case "1":
			return errors.New("nope")
		case "2":
			return &hub.ConnectError{Message: "nope", Data: map[string]int{"code": 1}}
		}
		return nil
	})
	return f
}

// The conversation of the Node.js server with raw requests, as it was recorded.
func TestRecordedPolling4(t *testing.T) {
	const (
		text   = "text/plain; charset=UTF-8"
		octets = "application/octet-stream"
	)
	f := serve4(t, allowed())
	p := f.poll4(t, "&b64=1")
	p.want("2:40", text)
	p.say(`18:42["echo","hé€😀"]`, "text/plain;charset=UTF-8", `18:42["back","hé€😀"]`, text)
	p.say(`42:451-["echo",{"_placeholder":true,"num":0}]6:b4AQID`, "text/plain;charset=UTF-8",
		`42:451-["back",{"_placeholder":true,"num":0}]6:b4AQID`, text)
	p = f.poll4(t, "")
	p.want("2:40", text)
	p.say("\x00\x04\x02\xff451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x01\x04\xff\x04\x01\x02\x03", octets,
		"\x00\x04\x02\xff451-[\"back\",{\"_placeholder\":true,\"num\":0}]\x01\x04\xff\x04\x01\x02\x03", octets)
	p.say("1:2", "text/plain", "1:3", text)
	p.say("6:2probe", "text/plain", "1:3", text)
	p = f.poll4(t, "&j=0")
	p.want(`___eio[0]("2:40");`, text)
	p.say("d=12%3A42%5B%22echo%22%2C1%5D", "application/x-www-form-urlencoded", `___eio[0]("12:42[\"back\",1]");`, text)
}

func TestRecordedWebSocket4(t *testing.T) {
	f := serve4(t, allowed())
	c, sid := f.dial4(t, "")
	c.want("40")
	c.send("2", "2hello")
	c.want("3", "3")
	c.send(`42["echo",1]`, `420["ack","x"]`, `421["who"]`)
	c.want(`42["back",1]`, `430["x"]`, `431["`+sid+`",{}]`)
	c.send(`42["q"]`)
	m := c.next()
	id, ok := strings.CutSuffix(strings.TrimPrefix(m.text, "42"), `["ask",1]`)
	if !ok {
		t.Fatalf("got %s", m)
	}
	c.send("43" + id + `["r"]`)
	c.want(`42["acked","r"]`)
	c.send(`451-["echo",{"_placeholder":true,"num":0}]`)
	c.sendBinary([]byte{4, 9, 8})
	c.want(`451-["back",{"_placeholder":true,"num":0}]`)
	c.wantBinary([]byte{4, 9, 8})
	c.send("40/custom?a=1&b=%20x,")
	c.want("40/custom,")
	c.send(`42/custom,2["who"]`)
	c.want(`43/custom,2["/custom#` + sid + `",{"a":"1","b":" x"}]`)
	c.send("40/nope,", "40/nope?a=1,")
	c.want(`44/nope,{"message":"Invalid namespace"}`, `44/nope,{"message":"Invalid namespace"}`)
	c.send("41/custom,")
	c.send("40") // joined already
	c.wantClosed(1002)

	c, _ = f.dial4(t, "&bad=1")
	c.want(`44"nope"`)
	c.send("40/custom,", `421["who"]`) // the connection goes on, without "/"
	c.want("40/custom,")
	c, _ = f.dial4(t, "&bad=2")
	c.want(`44{"code":1}`)
	c.send("40") // again
	c.want(`44{"code":1}`)

	c, _ = f.dial4(t, "")
	c.want("40")
	c.send("3")
	c.wantClosed(1002)
	f.counted(t, "engineio_pong_from_client", 1)
}

// An id is the connection's: a session that comes after another of the same name is found by it, and no other client.
func TestIDs4(t *testing.T) {
	f := serve4(t, allowed())
	young := f.dial(t)
	young.connect("/custom", "")
	var conns []*client
	for range 2 {
		c, sid := f.dial4(t, "")
		c.want("40")
		for range 20 {
			c.send("40/custom,")
			c.want("40/custom,")
			c.send("41/custom,", "40/custom?n=1,", `42/custom,1["who"]`)
			c.want("40/custom,", `43/custom,1["/custom#`+sid+`",{"n":"1"}]`)
			young.send(`42/custom,["to","/custom#` + sid + `","é"]`)
			c.want(`42/custom,["said","é"]`)
			c.send("41/custom,")
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.send(`421["ack"]`)
		c.want(`431[]`)
		c.conn.Close()
	}
	young.conn.Close()
	f.empty(t)
}

// One room, all wires.
func TestRoomOfBothProtocols(t *testing.T) {
	f := serveEcho(t, allowed())
	young, _ := f.join(t, "/")
	youngPoll := f.joinPolling(t)
	old, _ := f.dial4(t, "")
	oldText, _ := f.dial4(t, "&b64=1")
	for _, c := range []*client{old, oldText} {
		c.want("40", `42["auth",{}]`)
	}
	for _, c := range []*client{young, old, oldText} {
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
	}
	youngPoll.post(`420["join","room"]`)
	youngPoll.hears(t, func(packet string) bool { return packet == `430["ok"]` })
	polls := map[string]*poller4{"": f.poll4(t, ""), "&b64=1": f.poll4(t, "&b64=1"), "&j=0": f.poll4(t, "&j=0")}
	for query, p := range polls {
		join := `18:420["join","room"]`
		if query == "&j=0" {
			join = "d=" + join
		}
		if a, _ := p.post(join, "text/plain"); a != "ok" {
			t.Fatal(a)
		}
		joined := false
		for range 3 { // behind what it was told before
			if body, _ := p.get(); strings.Contains(body, "430[") {
				joined = true
				break
			}
		}
		if !joined {
			t.Fatal("no ack")
		}
	}
	for _, m := range []struct {
		say    []string
		binary []byte
		text   string
		want   map[string]string
	}{
		{say: []string{`42["say","room","é€😀"]`}, text: `42["said","é€😀"]`, want: map[string]string{
			"": `17:42["said","é€😀"]`, "&b64=1": `17:42["said","é€😀"]`, "&j=0": `___eio[0]("17:42[\"said\",\"é€😀\"]");`}},
		{say: []string{`451-["say","room",{"_placeholder":true,"num":0}]`}, binary: []byte{1, 2, 3},
			text: `451-["said",{"_placeholder":true,"num":0}]`, want: map[string]string{
				"":       "\x00\x04\x02\xff" + `451-["said",{"_placeholder":true,"num":0}]` + "\x01\x04\xff\x04\x01\x02\x03",
				"&b64=1": `42:451-["said",{"_placeholder":true,"num":0}]6:b4AQID`,
				"&j=0":   `___eio[0]("42:451-[\"said\",{\"_placeholder\":true,\"num\":0}]6:b4AQID");`}},
	} {
		young.send(m.say...)
		if m.binary != nil {
			young.sendBinary(m.binary)
		}
		for _, c := range []*client{young, old, oldText} {
			c.want(m.text)
		}
		if m.binary != nil {
			young.wantBinary(m.binary)
			old.wantBinary(append([]byte{4}, m.binary...))
			oldText.want("b4AQID")
		}
		youngPoll.hears(t, func(packet string) bool { return packet == m.text })
		for query, p := range polls {
			if got, _ := p.get(); got != m.want[query] {
				t.Errorf("%q: got %q, wanted %q", query, got, m.want[query])
			}
		}
	}
}

// A hub without "/" says nothing of it: to these clients an error there is one of all their namespaces.
func TestNoRoot4(t *testing.T) {
	o := allowed()
	o.server.ConnectTimeout = 200 * time.Millisecond
	f := serve(t, o)
	f.handle(t, "/custom", echo)
	c, _ := f.dial4(t, "")
	c.send("40/custom,")
	c.want("40/custom,", `42/custom,["auth",{}]`)
	silent, _ := f.dial4(t, "")
	silent.wantClosed(1008)
	f.counted(t, "socketio_unknown_namespace", 2)
	f.counted(t, "socketio_connect_timeout", 1)
}

func TestQueryIsLimited4(t *testing.T) {
	f := serve4(t, allowed())
	c, _ := f.dial4(t, "")
	c.want("40")
	token := strings.Repeat("x", maxQuery-2)
	c.send("40/custom?t="+token+",", `42/custom,1["who"]`)
	c.want("40/custom,")
	if m := c.next(); !strings.HasSuffix(m.text, `",{"t":"`+token+`"}]`) {
		t.Errorf("got %s", m)
	}
	c.send("40/custom?t=x" + token + ",")
	c.wantClosed(1002)
	f.counted(t, "socketio_bad_namespace", 1)
	// Protocol 5 has no queries.
	young := f.dial(t)
	young.send("40/custom?a=1,")
	young.want(`44/custom?a=1,{"message":"Invalid namespace"}`)
}

func TestQueryAuth(t *testing.T) {
	for query, want := range map[string]string{
		"":                      `{}`,
		"&&":                    `{}`,
		"a=1&b=%20x":            `{"a":"1","b":" x"}`,
		"b=2&a=1&b=3":           `{"b":"3","a":"1"}`,
		"a":                     `{"a":""}`,
		"a=b=c":                 `{"a":"b=c"}`,
		"=1":                    `{"":"1"}`,
		"a+b=c+d":               `{"a b":"c d"}`,
		"t=%C3%A9%E2%82%AC&u=é": `{"t":"é€","u":"é"}`,
		"a=%":                   `{"a":"%"}`,
		"a=%zz%20":              `{"a":"%zz%20"}`,
		`"=\&<=>`:               `{"\"":"\\","<":">"}`,
		"a=%FF":                 `{"a":"\ufffd"}`,
		"__proto__=1":           `{"__proto__":"1"}`,
	} {
		if got := string(queryAuth([]byte(query))); got != want {
			t.Errorf("%q: %s, wanted %s", query, got, want)
		}
	}
}

func TestErrors4(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New(`a "b" </x>`), `"a \"b\" </x>"`},
		{&hub.ConnectError{Message: "m"}, `"m"`},
		{&hub.ConnectError{Message: "m", Data: map[string]any{"code": 1}}, `{"code":1}`},
		{&hub.ConnectError{Message: "m", Data: "why"}, `"why"`},
		{&hub.ConnectError{Message: "m", Data: []int{}}, `[]`},
		{&hub.ConnectError{Message: "m", Data: ""}, `"m"`},
		{&hub.ConnectError{Message: "m", Data: 0}, `"m"`},
		{&hub.ConnectError{Message: "m", Data: false}, `"m"`},
		{&hub.ConnectError{Message: "m", Data: func() {}}, `"m"`},
	} {
		if got := string(errorJSON4(errorJSON(c.err))); got != c.want {
			t.Errorf("%v: %s, wanted %s", c.err, got, c.want)
		}
	}
}

// FuzzDecode4: what protocol 4 adds to a packet is a query, which makes an object and changes nothing else.
func FuzzDecode4(f *testing.F) {
	for _, v := range loadVectors(f).Decode {
		f.Add([]byte(v.Text))
	}
	for _, text := range []string{"0/custom?a=1&b=%20x,", "0/?a,", "2/a?b,1[\"x\"]", "0/a?,", "51-/a?b=%,[1]", "0/a?&&=&\xc3\xa9=%zz"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // the layer below refuses it
		}
		p, err := decode(text, decoding{v4: true, attachments: maxAttachments, depth: maxDepth})
		if err != nil {
			return
		}
		query := p.query
		p.query = nil
		var auth map[string]string
		if raw := queryAuth(query); json.Unmarshal(raw, &auth) != nil || len(query) > maxQuery {
			t.Fatalf("%q makes %s", query, raw)
		}
		checkPacket(t, &p)
		again, err := Decode(p.Append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%q became %+v, %v", text, again, err)
		}
	})
}
