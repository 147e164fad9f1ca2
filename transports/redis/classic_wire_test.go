//go:build unix

package redis

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
)

// vector is what a Node.js node, or an emitter, has published.
type vector struct {
	code, channel string
	body          []byte
}

// classicVectors are those of testdata/classic.txt.
func classicVectors(t testing.TB) (list []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/classic.txt")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if c, ok := strings.CutPrefix(line, "# "); ok {
			code = c
			continue
		}
		channel, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatal(err)
		}
		v := vector{code: code}
		body, err := strconv.Unquote(line[len(channel)+1:])
		if err != nil {
			t.Fatal(err)
		}
		v.channel, _ = strconv.Unquote(channel)
		v.body = []byte(body)
		list = append(list, v)
	}
	return list
}

// read decodes a vector as the node other would, and says what it is.
func (v vector) read(uid string) (any, error) {
	sp := &space{name: "/", uid: uid}
	if strings.Contains(v.channel, "#/chat#") {
		sp.name = "/chat"
	}
	switch {
	case strings.Contains(v.channel, "-response#"):
		return readResponse(v.body)
	case strings.Contains(v.channel, "-request#"):
		return readRequest(v.body, sp.name)
	}
	return sp.readBroadcast("", v.body)
}

// What Node.js writes is read, and what is read is written as Node.js wrote it.
func TestClassicVectors(t *testing.T) {
	kinds := make(map[string]int)
	for _, v := range classicVectors(t) {
		got, err := v.read("other")
		if err != nil {
			t.Errorf("%s: %q: %v", v.code, v.body, err)
			continue
		}
		switch got := got.(type) {
		case *hub.NodeRequest:
			kinds["broadcast"]++
			if strings.HasPrefix(v.code, "EMITTER") {
				continue // which writes flags before except
			}
			sp := &space{name: got.Namespace, uid: string(v.body[2:8])}
			if again, err := sp.appendBroadcast(got); err != nil || !bytes.Equal(again, v.body) {
				t.Errorf("%s: written again it is %q, %v", v.code, again, err)
			}
		case *wireRequest:
			kinds["request"]++
			v.again(t, got)
		case *wireAnswer:
			kinds["answer"]++
			if got.RequestID == "" || got.Node != hub.Unnamed {
				t.Errorf("%s: %+v", v.code, got)
			}
		}
	}
	if kinds["broadcast"] < 15 || kinds["request"] < 15 || kinds["answer"] < 8 {
		t.Errorf("only %v", kinds)
	}
}

func (v vector) again(t *testing.T, w *wireRequest) {
	t.Helper()
	if strings.HasPrefix(v.code, "EMITTER") && !strings.Contains(v.code, "serverSideEmit") {
		return // without uid
	}
	r := &hub.NodeRequest{Payload: w.payload}
	w.addressed.address(r)
	sp, id := &space{name: "/", uid: w.UID}, ""
	if w.RequestID != nil {
		id = *w.RequestID
	}
	var again []byte
	var err error
	if *w.Type == reqAsk {
		r.Timeout = time.Duration(w.addressed.timeout) * time.Millisecond
		again, err = sp.appendAsk(nil, id, r)
		again = bytes.TrimSuffix(again, append(msgp.AppendString(nil, oursKey), 1))
		again[0]-- // a key less
	} else {
		r.Op = map[int]hub.Op{reqRooms: hub.OpRooms, reqJoin: hub.OpJoin, reqLeave: hub.OpLeave, reqDisconnect: hub.OpDisconnect,
			reqFetch: hub.OpSessions, reqServer: hub.OpServer}[*w.Type]
		r.CloseConn = w.Close
		if len(w.Rooms) > 1 {
			return // one at a time here
		} else if len(w.Rooms) > 0 {
			r.Room = w.Rooms[0]
		}
		again, err = sp.appendRequest(nil, id, r)
		again = bytes.Replace(again, []byte(`,"greenroom":1`), nil, 1)
	}
	if err != nil || !bytes.Equal(again, v.body) {
		t.Errorf("%s: %q written again is %q, %v", v.code, v.body, again, err)
	}
}

// The answers to a Node.js node are as a Node.js node gives them.
func TestClassicAnswers(t *testing.T) {
	id := "QR61fQ"
	w := &wireRequest{RequestID: &id}
	a := &answering{to: w}
	if got := string(a.tail(append(a.head(`{"type":`, resCount), `,"clientCount":1`...))); got != `{"type":8,"requestId":"QR61fQ","clientCount":1}` {
		t.Error(got)
	}
	got, err := a.appendAck(hub.Answer{Session: "s", Payload: hub.Payload{JSON: []byte(`[{"ok":null,"b":1},2]`)}})
	if want := "\x83\xa4type\t\xa9requestId\xa6QR61fQ\xa6packet\x82\xa2ok\xc0\xa1b\x01"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, v := range classicVectors(t) { // a session, taken over and told again
		if !strings.Contains(string(v.body), `"sockets":[{`) {
			continue
		}
		var answer struct{ Sockets []json.RawMessage }
		var socket wireSocket
		if err := json.Unmarshal(v.body, &answer); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(answer.Sockets[0], &socket); err != nil {
			t.Fatal(err)
		}
		s, ok := socket.snapshot("/")
		if !ok || s.Handshake.Header().Get("Upgrade") != "websocket" || !slices.Equal(s.Rooms, []string{"room1", "room2", "room4"}) {
			t.Errorf("%+v", s)
		}
		var was, is any
		again := appendSocket(nil, &s, false)
		_ = json.Unmarshal(answer.Sockets[0], &was)
		if err := json.Unmarshal(again, &is); err != nil || !same(was, is) {
			t.Errorf("%s\nbecomes\n%s", answer.Sockets[0], again)
		}
	}
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// hostileBodies are refused by each reader, or read as something harmless.
var hostileBodies = []string{
	"", "\xc1", "\x93", "\x93\xa6abcdef", "\xdd\xff\xff\xff\xff", "\x93\xc0\xc0\xc0", "\x93\xa1x\x81\xa4type\x02\x80", "[", "{", "{}", "null", "0",
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\xc0",                                             // no opts
	"\x93\xa1x\x82\xa4type\x03\xa4data\x91\xa1e\x80",                                             // an ack
	"\x93\xa1x\x82\xa4type\x02\xa4data\x90\x80",                                                  // no event
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\x01\x80",                                              // not a text
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa7connect\x80",                                       // the client's own
	"\x93\xa1x\x82\xa4type\x02\xa4data\x92\xa1e\x82\xac_placeholder\xc3\xa3num\x00\x80",          // harmless: there is no binary value
	"\x93\xa1x\x82\xa4type\x02\xa4data\x93\xa1e\xc4\x01a\x82\xac_placeholder\xc3\xa3num\x00\x80", // forged
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\x91\xa6$user:\x80",                  // Greenroom's own
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\xdd\xff\xff\xff\xff",
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\xa1a",
	"\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x83\xa5rooms\x93\xc0\x80\x05\xa6except\xc0\xa5flags\x82\xa8volatile\xa1x\xa7timeout\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
	`{"type":7,"requestId":"a","uid":"b"}`, `{"type":5,"requestId":"a"}`, `{"type":"5"}`, `{"type":5.5}`, `{"type":-1}`, `{"type":6,"data":{}}`,
	`{"type":6,"data":[1]}`, `{"type":6,"data":["connect"]}`, `{"type":6,"data":[]}`, `{"type":2,"opts":[],"rooms":{}}`,
	`{"type":2,"opts":{"rooms":[null,{},1.5,"a"]},"rooms":[[],"$user:x"]}`, `{"type":5,"requestId":{},"opts":{}}`,
	`{"type":6,"data":["e",` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `]}`,
	`{"requestId":"a","sockets":{}}`, `{"requestId":"a","sockets":[1,null,{"id":5},{"id":"a","rooms":5,"handshake":[],"data":null}]}`,
	`{"requestId":"a","rooms":"x"}`, `{"type":8,"requestId":"a","clientCount":-1e99}`, `{"requestId":["a"]}`,
	"\x83\xa4type\x09\xa9requestId\xa1a\xa6packet" + strings.Repeat("\x91", 500), "\x82\xa4type\x09\xa9requestId\x05",
	"\xdf\xff\xff\xff\xff\xa4type\x09",
}

func TestClassicRefusesWhatIsNotOfTheFormat(t *testing.T) {
	sp := &space{name: "/", uid: "other"}
	for i, body := range hostileBodies[:18] {
		if r, err := sp.readBroadcast("", []byte(body)); err == nil && i != 17 {
			t.Errorf("%q is read as %+v", body, r)
		}
	}
	for _, body := range []string{`{"type":7,"requestId":"a","uid":"b"}`, `{"type":5,"requestId":"a"}`, `{"type":"5"}`, `{}`, "\xc1", "",
		`{"type":6,"data":[1]}`, `{"type":6,"data":["connect"]}`, `{"type":6,"data":["e",` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `]}`} {
		if w, err := readRequest([]byte(body), "/"); err == nil {
			t.Errorf("%q is read as %+v", body, w)
		}
	}
}

func seed(f *testing.F) {
	for _, v := range classicVectors(f) {
		f.Add(v.body)
	}
	for _, body := range hostileBodies {
		f.Add([]byte(body))
	}
}

// checkPayload checks what clients and the hub rely on.
func checkPayload(t *testing.T, p hub.Payload) {
	t.Helper()
	var elements []json.RawMessage
	if err := json.Unmarshal(p.JSON, &elements); err != nil {
		t.Fatalf("%q: %v", p.JSON, err)
	}
	if n := bytes.Count(p.JSON, []byte(`{"_placeholder":true,"num":`)); len(p.Attachments) > 0 && n < len(p.Attachments) {
		t.Fatalf("%q has %d binary values", p.JSON, len(p.Attachments))
	}
}

func FuzzClassicBroadcast(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		sp := &space{name: "/", uid: "other"}
		r, err := sp.readBroadcast("", body)
		if err != nil || r == nil {
			return
		}
		checkPayload(t, r.Payload)
		again, err := (&space{name: "/", uid: "x"}).appendBroadcast(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := sp.readBroadcast("", again)
		if err != nil || !bytes.Equal(back.Payload.JSON, r.Payload.JSON) || back.Volatile != r.Volatile || back.NoCompress != r.NoCompress {
			t.Fatalf("%q → %q, %v", body, again, err)
		}
	})
}

func FuzzClassicRequest(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := readRequest(body, "/")
		if err != nil {
			return
		}
		if *w.Type == reqServer || *w.Type == reqAsk {
			checkPayload(t, w.payload)
		}
	})
}

func FuzzClassicAnswer(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var qs questions
		c := &classic{}
		c.questions.pending = make(map[string]*question)
		w, err := readResponse(body)
		if err != nil {
			return
		}
		for _, op := range []hub.Op{hub.OpAsk, hub.OpServer, hub.OpSessions, hub.OpRooms} {
			q := qs.ask(&hub.NodeRequest{Op: op, Namespace: "/"}, func(r hub.NodeReply) {
				for _, a := range r.Answers {
					checkPayload(t, a.Payload)
				}
				for _, s := range r.Sessions {
					_ = json.Valid(appendSocket(nil, &s, true)) || func() bool { t.Fatalf("%+v", s); return false }()
				}
			}, func() string { return w.RequestID })
			c.questions.pending[w.RequestID] = q
			_ = c.answered(&space{name: "/"}, body)
			q.cancel()
		}
	})
}

func TestNumbersAsRooms(t *testing.T) {
	for name, want := range map[string]string{
		"5": "\x92\xa15\x05", "-5": "\x92\xa2-5\xfb", "0": "\x92\xa10\x00", "05": "\x91\xa205", "-0": "\x91\xa2-0", "": "\x91\xa0", "-": "\x91\xa1-", "1e3": "\x91\xa31e3",
		"123456789012345": "\x92\xaf123456789012345\xcf\x00\x00\x70\x48\x86\x0d\xdf\x79", "1234567890123456": "\x91\xb01234567890123456",
	} {
		if got := string(appendNames(nil, []string{name})); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	names, _, err := readNames([]byte("\x96\xa15\x05\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc0\x80\xd0\xf0"), "")
	if want := []string{"5", "5", "1.5", "", "", "-16"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
}
