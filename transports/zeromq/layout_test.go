package zeromq

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"greenroom/hub"
)

// frames makes a message of string frames.
func frames(f ...string) [][]byte {
	out := make([][]byte, len(f))
	for i := range f {
		out[i] = []byte(f[i])
	}
	return out
}

// describe writes a publication on one line: strings quoted, binary arguments in hex behind an x, JSON as
// it is.
func describe(p hub.Publication) string {
	words := []string{p.Namespace, p.Room, p.Event}
	for _, a := range p.Args {
		switch a := a.(type) {
		case string:
			words = append(words, fmt.Sprintf("%q", a))
		case hub.Text:
			words = append(words, fmt.Sprintf("%q", a.String()))
		case []byte:
			words = append(words, fmt.Sprintf("x%x", a))
		case json.RawMessage:
			words = append(words, string(a))
		default:
			words = append(words, fmt.Sprintf("%T?", a))
		}
	}
	if p.Retain {
		words = append(words, "retain")
	}
	if p.Volatile {
		words = append(words, "volatile")
	}
	if p.ID != "" {
		words = append(words, "id="+p.ID)
	}
	if len(p.Except) > 0 {
		words = append(words, "except="+strings.Join(p.Except, ","))
	}
	return strings.Join(words, " ")
}

// layoutCase is a message and what becomes of it: publications, or the reason of a refusal.
type layoutCase struct {
	name   string
	format Format
	frames [][]byte
	want   []string
	reason string
}

func runLayout(t *testing.T, cases []layoutCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			format := c.format.withDefaults()
			pubs, err := format.Layout.Parse(c.frames, format)
			if c.reason != "" {
				var r *Refusal
				if !errors.As(err, &r) || r.Reason != c.reason || r.Detail == "" || pubs != nil {
					t.Fatalf("%v, %d publications; want the refusal %s", err, len(pubs), c.reason)
				}
				if len(r.Detail) > 500 {
					t.Errorf("a detail of %d bytes for the log", len(r.Detail))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range pubs {
				got = append(got, describe(p))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestGreenroomFrames(t *testing.T) {
	long, longer := strings.Repeat("r", 255), strings.Repeat("r", 256)
	runLayout(t, []layoutCase{
		{name: "room and payload", frames: frames("lobby", "hello"), want: []string{`/ lobby message "hello"`}},
		{name: "the endpoint's event", format: Format{Event: "tick"}, frames: frames("lobby", "x"), want: []string{`/ lobby tick "x"`}},
		{name: "the endpoint's namespace", format: Format{Namespace: "/chat"}, frames: frames("lobby", "x"), want: []string{`/chat lobby message "x"`}},
		{name: "room, event and payload", frames: frames("lobby", "price", `{"eur": 4.2}`), want: []string{`/ lobby price {"eur":4.2}`}},
		{name: "several arguments", frames: frames("lobby", "e", "1", "[2]", "\xff", ""), want: []string{`/ lobby e "1" [2] xff ""`}},
		{name: "an empty payload is an empty string", frames: frames("lobby", ""), want: []string{`/ lobby message ""`}},
		{name: "64 frames", frames: frames(append([]string{"lobby", "e"}, make([]string, 62)...)...),
			want: []string{`/ lobby e` + strings.Repeat(` ""`, 62)}},

		{name: "room of 255 bytes", frames: frames(long, "x"), want: []string{"/ " + long + ` message "x"`}},
		{name: "room in any language", frames: frames("größe 大", "x"), want: []string{`/ größe 大 message "x"`}},
		{name: "room with # and /", frames: frames("/a#b", "x"), want: []string{`/ /a#b message "x"`}},
		{name: "room of 256 bytes", frames: frames(longer, "x"), reason: reasonRoom},
		{name: "room without a name", frames: frames("", "x"), reason: reasonRoom},
		{name: "room that is reserved", frames: frames("$stats", "x"), reason: reasonRoom},
		{name: "room with a line break", frames: frames("a\nb", "x"), reason: reasonRoom},
		{name: "room with DEL", frames: frames("a\x7f", "x"), reason: reasonRoom},
		{name: "room with a C1 control character", frames: frames("a\u0085", "x"), reason: reasonRoom},
		{name: "room that is not UTF-8", frames: frames("a\xff", "x"), reason: reasonRoom},

		{name: "namespace in the topic", format: Format{NamespaceInTopic: true}, frames: frames("/chat#lobby", "x"), want: []string{`/chat lobby message "x"`}},
		{name: "topic without a namespace", format: Format{NamespaceInTopic: true}, frames: frames("lobby", "x"), want: []string{`/ lobby message "x"`}},
		{name: "topic with # but no /", format: Format{NamespaceInTopic: true}, frames: frames("a#b", "x"), want: []string{`/ a#b message "x"`}},
		{name: "topic with / but no #", format: Format{NamespaceInTopic: true, Namespace: "/d"}, frames: frames("/a", "x"), want: []string{`/d /a message "x"`}},
		{name: "topic that names / itself", format: Format{NamespaceInTopic: true}, frames: frames("/#/chat#lobby", "x"), want: []string{`/ /chat#lobby message "x"`}},
		{name: "topic without a room", format: Format{NamespaceInTopic: true}, frames: frames("/chat#", "x"), reason: reasonRoom},
		{name: "topic with a reserved room", format: Format{NamespaceInTopic: true}, frames: frames("/chat#$x", "x"), reason: reasonRoom},
		{name: "namespace with a control character", format: Format{NamespaceInTopic: true}, frames: frames("/a\x01#r", "x"), reason: reasonNamespace},
		{name: "namespace of 256 bytes", format: Format{NamespaceInTopic: true}, frames: frames("/"+longer[1:]+"#r", "x"), reason: reasonNamespace},
		{name: "namespace that is not UTF-8", format: Format{NamespaceInTopic: true}, frames: frames("/\xff#r", "x"), reason: reasonNamespace},

		{name: "event of 255 bytes", frames: frames("r", long, "x"), want: []string{"/ r " + long + ` "x"`}},
		{name: "event of 256 bytes", frames: frames("r", longer, "x"), reason: reasonEvent},
		{name: "event without a name", frames: frames("r", "", "x"), reason: reasonEvent},
		{name: "event that is not UTF-8", frames: frames("r", "\xff", "x"), reason: reasonEvent},
		{name: "event connect", frames: frames("r", "connect", "x"), reason: reasonEvent},
		{name: "event connect_error", frames: frames("r", "connect_error", "x"), reason: reasonEvent},
		{name: "event disconnect", frames: frames("r", "disconnect", "x"), reason: reasonEvent},
		{name: "event disconnecting", frames: frames("r", "disconnecting", "x"), reason: reasonEvent},
		{name: "event newListener", frames: frames("r", "newListener", "x"), reason: reasonEvent},
		{name: "event removeListener", frames: frames("r", "removeListener", "x"), reason: reasonEvent},
		{name: "event presence", frames: frames("r", "presence", `{"joined":[]}`), reason: reasonEvent},
		{name: "the endpoint's event is presence", format: Format{Event: "presence"}, frames: frames("r", "x"), reason: reasonEvent},
		{name: "an event that only begins like it", frames: frames("r", "presence2", "x"), want: []string{`/ r presence2 "x"`}},

		{name: "one frame of text", frames: frames("lobby hello"), reason: reasonShape},
		{name: "one empty frame", frames: frames(""), reason: reasonShape},
		{name: "one frame of a JSON array", frames: frames(`[{"room":"r"}]`), reason: reasonShape},
		{name: "one frame with a space before the brace", frames: frames(` {"room":"r"}`), reason: reasonShape},
		{name: "one binary frame", frames: frames("\xff\x00"), reason: reasonShape},
		{name: "two envelopes are a room and a payload", frames: frames(`{"room":"r"}`, `{"room":"r"}`), want: []string{`/ {"room":"r"} message {"room":"r"}`}},

		{name: "placeholder beside binary", frames: frames("r", "e", `{"_placeholder":true,"num":0}`, "\xff"), reason: reasonPlaceholder},
		{name: "escaped placeholder beside binary", frames: frames("r", "e", "\xff", `[{"\u005fplaceholder":true,"num":0}]`), reason: reasonPlaceholder},
		{name: "placeholder without binary", frames: frames("r", "e", `{"_placeholder":true,"num":0}`), want: []string{`/ r e {"_placeholder":true,"num":0}`}},
		{name: "the word in a string beside binary", frames: frames("r", "e", "_placeholder", "\xff"), want: []string{`/ r e "_placeholder" xff`}},

		{name: "10 binary values", frames: frames(append([]string{"r", "e", "text"}, binaries(10)...)...), want: []string{`/ r e "text"` + strings.Repeat(" xff", 10)}},
		{name: "11 binary values", frames: frames(append([]string{"r", "e", "text"}, binaries(11)...)...), reason: reasonBinaries},
		{name: "11 values of which every payload is binary", format: Format{Payload: Binary}, frames: frames(append([]string{"r", "e"}, make([]string, 11)...)...), reason: reasonBinaries},
	})
}

// binaries are n frames that are no UTF-8.
func binaries(n int) []string { return strings.Split(strings.Repeat("\xff ", n-1)+"\xff", " ") }

func TestEnvelope(t *testing.T) {
	ids := func(n int) string { return `["` + strings.Join(make([]string, n), `","`) + `"]` }
	runLayout(t, []layoutCase{
		{name: "the least", frames: frames(`{"room":"r"}`), want: []string{"/ r message"}},
		{name: "data", frames: frames(`{"room":"r","data":{"a": [1, 2]}}`), want: []string{`/ r message {"a":[1,2]}`}},
		{name: "data that is a string", frames: frames(`{"room":"r","data":"42"}`), want: []string{`/ r message "42"`}},
		{name: "data that is a number", frames: frames(`{"room":"r","data":42}`), want: []string{`/ r message 42`}},
		{name: "data that is null", frames: frames(`{"room":"r","data":null}`), want: []string{`/ r message null`}},
		{name: "args", frames: frames(`{"room":"r","event":"e","args":[1, null, "x", {"y": true}]}`), want: []string{`/ r e 1 null "x" {"y":true}`}},
		{name: "no args", frames: frames(`{"room":"r","args":[]}`), want: []string{`/ r message`}},
		{name: "bin", frames: frames(`{"room":"r","args":["a"],"bin":["AP8=",""]}`), want: []string{`/ r message "a" x00ff x`}},
		{name: "bin alone", frames: frames(`{"room":"r","bin":["AA=="]}`), want: []string{`/ r message x00`}},
		{name: "everything", format: Format{Event: "tick", Namespace: "/d"},
			frames: frames(`{"room":"r","nsp":"/n","event":"e","data":1,"except":["s1","s2"],"id":"i","volatile":true,"retain":false}`),
			want:   []string{"/n r e 1 volatile id=i except=s1,s2"}},
		{name: "the endpoint's event and namespace", format: Format{Event: "tick", Namespace: "/d"}, frames: frames(`{"room":"r"}`), want: []string{"/d r tick"}},
		{name: "null means not there", frames: frames(`{"room":"r","nsp":null,"event":null,"args":null,"bin":null,"except":null,"id":null,"volatile":null,"retain":null}`), want: []string{"/ r message"}},
		{name: "other keys", frames: frames(`{"room":"r","ttl":5,"prev":{"x":[]}}`), want: []string{"/ r message"}},
		{name: "several rooms", frames: frames(`{"room":["a","b"],"data":1}`), want: []string{"/ a message 1", "/ b message 1"}},
		{name: "a room named twice", frames: frames(`{"room":["a","b","a"],"data":1}`), want: []string{"/ a message 1", "/ b message 1"}},
		{name: "white space", frames: frames("{ \"room\" :\n\"r\" , \"data\" : [ 1 ] }\n"), want: []string{"/ r message [1]"}},
		{name: "a key in other letters is another key", frames: frames(`{"room":"r","Room":"x","EVENT":"y","Data":3}`), want: []string{"/ r message"}},

		{name: "no room", frames: frames(`{"data":1}`), reason: reasonEnvelope},
		{name: "room null", frames: frames(`{"room":null}`), reason: reasonEnvelope},
		{name: "no rooms", frames: frames(`{"room":[]}`), reason: reasonEnvelope},
		{name: "room is a number", frames: frames(`{"room":1}`), reason: reasonEnvelope},
		{name: "room is an object", frames: frames(`{"room":{}}`), reason: reasonEnvelope},
		{name: "a number among the rooms", frames: frames(`{"room":["a",1]}`), reason: reasonEnvelope},
		{name: "null among the rooms", frames: frames(`{"room":["a",null]}`), reason: reasonRoom},
		{name: "65 rooms", frames: frames(`{"room":` + ids(65) + `}`), reason: reasonEnvelope},
		{name: "one bad room refuses them all", frames: frames(`{"room":["a","$b"]}`), reason: reasonRoom},
		{name: "room without a name", frames: frames(`{"room":""}`), reason: reasonRoom},
		{name: "namespace without a slash", frames: frames(`{"room":"r","nsp":"chat"}`), reason: reasonNamespace},
		{name: "empty namespace", frames: frames(`{"room":"r","nsp":""}`), reason: reasonNamespace},
		{name: "reserved event", frames: frames(`{"room":"r","event":"connect"}`), reason: reasonEvent},
		{name: "empty event", frames: frames(`{"room":"r","event":""}`), reason: reasonEvent},
		{name: "event is a number", frames: frames(`{"room":"r","event":1}`), reason: reasonEnvelope},
		{name: "args and data", frames: frames(`{"room":"r","args":[1],"data":1}`), reason: reasonEnvelope},
		{name: "args is an object", frames: frames(`{"room":"r","args":{}}`), reason: reasonEnvelope},
		{name: "65 arguments", frames: frames(`{"room":"r","args":` + ids(60) + `,"bin":` + ids(5) + `}`), reason: reasonEnvelope},
		{name: "10 in bin", frames: frames(`{"room":"r","bin":` + ids(10) + `}`), want: []string{"/ r message" + strings.Repeat(" x", 10)}},
		{name: "11 in bin", frames: frames(`{"room":"r","bin":` + ids(11) + `}`), reason: reasonBinaries},
		{name: "event presence", frames: frames(`{"room":"r","event":"presence","data":{"left":[]}}`), reason: reasonEvent},
		{name: "bin is no base64", frames: frames(`{"room":"r","bin":["?"]}`), reason: reasonEnvelope},
		{name: "bin is no string", frames: frames(`{"room":"r","bin":[1]}`), reason: reasonEnvelope},
		{name: "1025 exceptions", frames: frames(`{"room":"r","except":` + ids(1025) + `}`), reason: reasonEnvelope},
		{name: "id is a number", frames: frames(`{"room":"r","id":7}`), reason: reasonEnvelope},
		{name: "id of 256 bytes", frames: frames(`{"room":"r","id":"` + strings.Repeat("i", 256) + `"}`), reason: reasonEnvelope},
		{name: "volatile is a string", frames: frames(`{"room":"r","volatile":"yes"}`), reason: reasonEnvelope},
		{name: "retain", frames: frames(`{"room":"r","retain":true}`), want: []string{"/ r message retain"}},
		{name: "cut short", frames: frames(`{"room":"r"`), reason: reasonEnvelope},
		{name: "something behind it", frames: frames(`{"room":"r"} x`), reason: reasonEnvelope},
		{name: "two of them", frames: frames(`{"room":"r"}{"room":"r"}`), reason: reasonEnvelope},
		{name: "not UTF-8", frames: frames("{\"room\":\"r\",\"data\":\"\xff\"}"), reason: reasonEnvelope},
		{name: "too deep", frames: frames(`{"room":"r","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), reason: reasonDepth},
		{name: "placeholder beside bin", frames: frames(`{"room":"r","data":{"_placeholder":true,"num":0},"bin":["AA=="]}`), reason: reasonPlaceholder},
	})
}

// TestRefusalsAreCounted: what the layout refuses costs its sender nothing but that message.
func TestRefusalsAreCounted(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Sub: anyPort, SubFormat: Format{Payload: JSON}})
	p := push(t, b.Addr("pull"))
	for range 3 {
		send(t, p, "no room and no payload")
		send(t, p, "$reserved", "x")
		send(t, p, "room", "connect", "x")
	}
	send(t, p, "room", "still here")
	h.waitPub(t, "room", "still here")
	pub := rawDial(t, b.Addr("sub"))
	if _, err := pub.Write(concat(rawHello("PUB"), rawMessage("room", "no JSON"), rawMessage("room", "[7]"))); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "room", "[91 55 93]")
	h.mu.Lock()
	defer h.mu.Unlock()
	want := map[string]int{reasonShape: 3, reasonRoom: 3, reasonEvent: 3, reasonPayload: 1}
	if fmt.Sprint(h.counts) != fmt.Sprint(want) || len(h.pubs) != 2 {
		t.Errorf("counted %v, want %v; %d publications", h.counts, want, len(h.pubs))
	}
}

// TestLayoutOfTheApplication: it gets the frames, and one that panics loses one message.
func TestLayoutOfTheApplication(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, PullFormat: Format{Layout: shouting{}}})
	p := push(t, b.Addr("pull"))
	send(t, p, "panic")
	send(t, p, "error")
	send(t, p, "hello")
	h.waitPub(t, "all", "HELLO")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts[reasonLayout] != 1 || h.counts[reasonShape] != 1 || len(h.counts) != 2 {
		t.Errorf("counted %v", h.counts)
	}
}

type shouting struct{}

func (shouting) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	switch text := string(frames[0]); text {
	case "panic":
		panic("over this message")
	case "error":
		return nil, errors.New("no refusal of ours")
	default:
		return []hub.Publication{{Namespace: f.Namespace, Room: "all", Event: f.Event, Args: []any{strings.ToUpper(text)}}}, nil
	}
}

// FuzzLayout: whatever comes, the layout answers with publications that the hub takes and that subscribers
// can be sent, or with a refusal. Frames stand in data with a zero byte between them.
func FuzzLayout(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, rule byte, topics bool) {
		format := Format{Payload: PayloadRule(rule % 4), NamespaceInTopic: topics}.withDefaults()
		var message [][]byte
		for part := range strings.SplitSeq(string(data), "\x00") {
			message = append(message, []byte(part))
		}
		pubs, err := Greenroom.Parse(message, format)
		if err != nil {
			var r *Refusal
			if !errors.As(err, &r) || r.Reason == "" || pubs != nil {
				t.Fatalf("%v with %d publications", err, len(pubs))
			}
			return
		}
		if len(pubs) == 0 || len(pubs) > maxEnvelopeRooms {
			t.Fatalf("%d publications", len(pubs))
		}
		for _, p := range pubs {
			if err := errors.Join(checkAddress(p.Namespace, p.Room), checkEvent(p.Event)); err != nil {
				t.Fatalf("%s: %v", describe(p), err)
			}
			payload, err := hub.EncodeArgs(p.Event, p.Args...)
			if err != nil {
				t.Fatalf("%s: %v", describe(p), err)
			}
			m := &hub.Message{Namespace: p.Namespace, Room: p.Room, Event: p.Event, Payload: payload}
			topic := topicOf(p.Namespace, p.Room)
			if ns, room := splitTopic(topic, "/"); !strings.Contains(p.Namespace, topicSeparator) && (ns != p.Namespace || room != p.Room) {
				t.Fatalf("%s: its topic %q reads as %q %q", describe(p), topic, ns, room)
			}
			if wire, err := new(encoder).append(nil, topic, m, false); err != nil || len(wire) == 0 {
				t.Fatalf("%s cannot be sent to subscribers: %v", describe(p), err)
			}
		}
	})
}
