package zeromq

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"greenroom/hub"
)

func with(l Layout, f Format) Format {
	f.Layout = l
	return f
}

func TestTextLayouts(t *testing.T) {
	space, colon := with(TextSpace, Format{}), with(TextColon, Format{})
	runLayout(t, []layoutCase{
		{name: "the guide's weather server", format: space, frames: frames("10001 23 45"), want: []string{`/ 10001 message "23 45"`}},
		{name: "an empty payload", format: space, frames: frames("10001 "), want: []string{`/ 10001 message ""`}},
		{name: "JSON behind the room", format: space, frames: frames(`r {"a": 1}`), want: []string{`/ r message {"a":1}`}},
		{name: "binary behind the room", format: space, frames: frames("r \xff\x00"), want: []string{`/ r message xff00`}},
		{name: "the endpoint's event and rule", format: with(TextSpace, Format{Event: "w", Payload: JSON}), frames: frames("r 42"), want: []string{`/ r w 42`}},
		{name: "a namespace in the topic", format: with(TextSpace, Format{NamespaceInTopic: true}), frames: frames("/chat#r hi"), want: []string{`/chat r message "hi"`}},
		{name: "the first colon", format: colon, frames: frames("room:text: more"), want: []string{`/ room message "text: more"`}},
		{name: "no separator", format: space, frames: frames("10001"), reason: reasonShape},
		{name: "the other's separator", format: colon, frames: frames("10001 23"), reason: reasonShape},
		{name: "no room", format: space, frames: frames(" 23"), reason: reasonRoom},
		{name: "two frames", format: space, frames: frames("r 1", "2"), reason: reasonShape},
		{name: "not what the rule wants", format: with(TextSpace, Format{Payload: JSON}), frames: frames("r x"), reason: reasonPayload},
		{name: "a reserved event", format: with(TextSpace, Format{Event: "presence"}), frames: frames("r x"), reason: reasonEvent},
	})
}

func TestJSONTypeLayout(t *testing.T) {
	f := with(JSONType, Format{Room: "all"})
	runLayout(t, []layoutCase{
		{name: "type and data", format: f, frames: frames(`{"type":"move","data":{"x": 1}}`), want: []string{`/ all move {"x":1}`}},
		{name: "data that is a number", format: f, frames: frames(`{"type":"n","data":42}`), want: []string{`/ all n 42`}},
		{name: "no data", format: f, frames: frames(`{"type":"ping"}`), want: []string{`/ all ping`}},
		{name: "a room of its own", format: f, frames: frames(`{"type":"n","data":1,"room":"other"}`), want: []string{`/ other n 1`}},
		{name: "no room at all", format: with(JSONType, Format{}), frames: frames(`{"type":"n"}`), reason: reasonRoom},
		{name: "a reserved room", format: f, frames: frames(`{"type":"n","room":"$x"}`), reason: reasonRoom},
		{name: "no type", format: f, frames: frames(`{"data":1}`), reason: reasonEvent},
		{name: "a key in other letters", format: f, frames: frames(`{"Type":"n"}`), reason: reasonEvent},
		{name: "a reserved type", format: f, frames: frames(`{"type":"connect"}`), reason: reasonEvent},
		{name: "a type that is no string", format: f, frames: frames(`{"type":1}`), reason: reasonShape},
		{name: "a room that is no string", format: f, frames: frames(`{"type":"n","room":["a"]}`), reason: reasonShape},
		{name: "an array", format: f, frames: frames(`[{"type":"n"}]`), reason: reasonShape},
		{name: "null", format: f, frames: frames(`null`), reason: reasonShape},
		{name: "no JSON", format: f, frames: frames(`type=n`), reason: reasonShape},
		{name: "two frames", format: f, frames: frames(`{"type":"n"}`, "x"), reason: reasonShape},
		{name: "too deep", format: f, frames: frames(`{"type":"n","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), reason: reasonDepth},
	})
}

func TestBitcoinLayout(t *testing.T) {
	f := with(Bitcoin, Format{})
	runLayout(t, []layoutCase{
		{name: "a block", format: f, frames: frames("hashblock", "\x00\xff", "\x07\x00\x00\x00"), want: []string{`/ hashblock hashblock x00ff`}},
		{name: "a body that happens to be text", format: f, frames: frames("rawtx", "ab", "\x00\x00\x00\x00"), want: []string{`/ rawtx rawtx x6162`}},
		{name: "into one room", format: with(Bitcoin, Format{Room: "chain"}), frames: frames("rawtx", "a", "\x00\x00\x00\x00"), want: []string{`/ chain rawtx x61`}},
		{name: "as text", format: with(Bitcoin, Format{Payload: Text}), frames: frames("t", "a", "\x00\x00\x00\x00"), want: []string{`/ t t "a"`}},
		{name: "a counter of 8 bytes", format: f, frames: frames("t", "a", "\x00\x00\x00\x00\x00\x00\x00\x00"), reason: reasonShape},
		{name: "no counter", format: f, frames: frames("t", "a"), reason: reasonShape},
		{name: "no topic", format: f, frames: frames("", "a", "\x00\x00\x00\x00"), reason: reasonEvent},
		{name: "a reserved topic", format: f, frames: frames("$t", "a", "\x00\x00\x00\x00"), reason: reasonRoom},
		{name: "a room that cannot be", format: with(Bitcoin, Format{Room: "$x"}), frames: frames("t", "a", "\x00\x00\x00\x00"), reason: reasonRoom},
	})
}

// The counter of a topic that runs ahead has lost messages; one that falls back is that of a new process.
func TestBitcoinCounters(t *testing.T) {
	f := with(Bitcoin, Format{}).withDefaults()
	r := newReader(&f)
	for i, c := range []struct {
		topic  string
		n      byte
		missed uint64
	}{
		{"a", 5, 0}, {"a", 6, 0}, {"b", 9, 0}, {"a", 9, 2}, {"b", 10, 2}, {"a", 0, 2}, {"a", 1, 2}, {"a", 1, 2}, {"b", 12, 3},
	} {
		if err := r.read(frames(c.topic, "x", string([]byte{c.n, 0, 0, 0}))); err != nil || r.missed != c.missed {
			t.Errorf("message %d: %v, %d missed, want %d", i, err, r.missed, c.missed)
		}
	}
	wrap := newReader(&f)
	for _, n := range []string{"\xff\xff\xff\xff", "\x00\x00\x00\x00"} {
		if err := wrap.read(frames("a", "x", n)); err != nil || wrap.missed != 0 {
			t.Errorf("round the end: %v, %d missed", err, wrap.missed)
		}
	}
	for i := range 2 * maxCounters {
		if err := r.read(frames(fmt.Sprint("t", i), "x", "\x00\x00\x00\x00")); err != nil || len(r.counters) > maxCounters {
			t.Fatalf("%v, %d counters", err, len(r.counters))
		}
	}
}

func TestRawLayout(t *testing.T) {
	f := with(Raw, Format{Room: "bytes", Event: "chunk"})
	runLayout(t, []layoutCase{
		{name: "whatever", format: f, frames: frames("a", "", "\xff"), want: []string{`/ bytes chunk x61 x xff`}},
		{name: "as the rule says", format: with(Raw, Format{Room: "r", Payload: Text}), frames: frames("a"), want: []string{`/ r message "a"`}},
		{name: "more than clients take", format: f, frames: frames(make([]string, 11)...), reason: reasonBinaries},
		{name: "no room", format: with(Raw, Format{}), frames: frames("a"), reason: reasonRoom},
		{name: "a reserved event", format: with(Raw, Format{Room: "r", Event: "connect"}), frames: frames("a"), reason: reasonEvent},
	})
}

func TestPushpinLayout(t *testing.T) {
	f := with(Pushpin, Format{})
	// The item of Pushpin's own documentation, in both notations.
	tnet := func(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }
	tmap := func(parts ...string) string { s := strings.Join(parts, ""); return fmt.Sprintf("%d:%s}", len(s), s) }
	item := tmap(tnet("channel"), tnet("test"), tnet("formats"),
		tmap(tnet("ws-message"), tmap(tnet("content"), tnet("hello"))))
	runLayout(t, []layoutCase{
		{name: "JSON", format: f, frames: frames(`J{"channel":"test","formats":{"ws-message":{"content":"hello\n"}}}`), want: []string{`/ test message "hello\n"`}},
		{name: "a bare TNetString", format: f, frames: frames(item), want: []string{`/ test message "hello"`}},
		{name: "T and a TNetString", format: f, frames: frames("T" + item), want: []string{`/ test message "hello"`}},
		{name: "the format at the top", format: f, frames: frames(`J{"channel":"c","ws-message":{"content":"x"}}`), want: []string{`/ c message "x"`}},
		{name: "channel and item", format: f, frames: frames("c", `J{"ws-message":{"content":"x"}}`), want: []string{`/ c message "x"`}},
		{name: "the channel in front counts", format: f, frames: frames("c", `J{"channel":"other","ws-message":{"content":"x"}}`), want: []string{`/ c message "x"`}},
		{name: "content that is JSON", format: f, frames: frames(`J{"channel":"c","ws-message":{"content":"{\"a\": 1}"}}`), want: []string{`/ c message {"a":1}`}},
		{name: "the same as text", format: with(Pushpin, Format{Payload: Text}), frames: frames(`J{"channel":"c","ws-message":{"content":"{}"}}`), want: []string{`/ c message "{}"`}},
		{name: "binary in JSON", format: f, frames: frames(`J{"channel":"c","ws-message":{"content-bin":"YWI="}}`), want: []string{`/ c message x6162`}},
		{name: "the type counts", format: f, frames: frames(`J{"channel":"c","ws-message":{"type":"binary","content":"ab"}}`), want: []string{`/ c message x6162`}},
		{name: "content-bin that is text", format: f, frames: frames(`J{"channel":"c","ws-message":{"type":"text","content-bin":"YWI="}}`), want: []string{`/ c message "ab"`}},
		{name: "bytes in a TNetString", format: f, frames: frames("c", tmap(tnet("ws-message"), tmap(tnet("content-bin"), tnet("\xff\x00")))), want: []string{`/ c message xff00`}},
		{name: "an id", format: f, frames: frames(`J{"channel":"c","id":"7","prev-id":"6","ws-message":{"content":"x"}}`), want: []string{`/ c message "x" id=7`}},
		{name: "others beside it", format: f, frames: frames(`J{"channel":"c","formats":{"http-stream":{"content":"y"},"ws-message":{"content":"x"}}}`), want: []string{`/ c message "x"`}},
		{name: "skip-self", format: f, frames: frames(`J{"channel":"c","meta":{"sender":"s1"},"ws-message":{"content":"x","content-filters":["skip-self"]}}`), want: []string{`/ c message "x" except=s1`}},
		{name: "meta without the filter", format: f, frames: frames(`J{"channel":"c","meta":{"sender":"s1"},"ws-message":{"content":"x"}}`), want: []string{`/ c message "x"`}},

		{name: "another filter", format: f, frames: frames(`J{"channel":"c","ws-message":{"content":"x","content-filters":["build-id"]}}`), reason: reasonItemFormat},
		{name: "an HTTP stream", format: f, frames: frames(`J{"channel":"c","formats":{"http-stream":{"content":"x"}}}`), reason: reasonItemFormat},
		{name: "close", format: f, frames: frames(`J{"channel":"c","ws-message":{"action":"close"}}`), reason: reasonItemFormat},
		{name: "a ping", format: f, frames: frames(`J{"channel":"c","ws-message":{"type":"ping","content":""}}`), reason: reasonItemFormat},
		{name: "no content", format: f, frames: frames(`J{"channel":"c","ws-message":{}}`), reason: reasonItem},
		{name: "no base64", format: f, frames: frames(`J{"channel":"c","ws-message":{"content-bin":"?"}}`), reason: reasonItem},
		{name: "no channel", format: f, frames: frames(`J{"ws-message":{"content":"x"}}`), reason: reasonItem},
		{name: "a reserved channel", format: f, frames: frames(`J{"channel":"$c","ws-message":{"content":"x"}}`), reason: reasonRoom},
		{name: "an id of 256 bytes", format: f, frames: frames(`J{"channel":"c","id":"` + strings.Repeat("i", 256) + `","ws-message":{"content":"x"}}`), reason: reasonItem},
		{name: "JSON without J", format: f, frames: frames(`{"channel":"c"}`), reason: reasonItem},
		{name: "J and no JSON", format: f, frames: frames(`Jx`), reason: reasonItem},
		{name: "J and an array", format: f, frames: frames(`J[]`), reason: reasonItem},
		{name: "nothing", format: f, frames: frames(""), reason: reasonItem},
		{name: "three frames", format: f, frames: frames("a", "b", "c"), reason: reasonShape},
		{name: "a TNetString cut short", format: f, frames: frames(item[:len(item)-1]), reason: reasonItem},
		{name: "a TNetString with more behind it", format: f, frames: frames(item + "0:,"), reason: reasonItem},
		{name: "a TNetString too deep", format: f, frames: frames(nested(65)), reason: reasonItem},
		{name: "a size with zeros", format: f, frames: frames("01:a,"), reason: reasonItem},
		{name: "a size beyond everything", format: f, frames: frames("9999999999:a,"), reason: reasonItem},
	})
}

// nested is a TNetString of lists in lists.
func nested(depth int) string {
	s := "0:~"
	for range depth {
		s = fmt.Sprintf("%d:%s]", len(s), s)
	}
	return s
}

func TestTNetStrings(t *testing.T) {
	for in, want := range map[string]string{
		"0:~": "<nil>", "4:true!": "true", "5:false!": "false", "2:42#": "42", "4:-1.5^": "-1.5", "5:hello,": "[104 101 108 108 111]",
		"7:1:a,0:~]": "[[97] <nil>]", "9:1:k,1:2#}": "", "8:1:k,1:2#}": "map[k:2]", "0:]": "[]", "0:}": "map[]",
	} {
		v, err := parseTNetString([]byte(in), maxDepth)
		if got := fmt.Sprint(v); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%s is %s, %v, want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", ":", "1", "1:", "1:a", "1:a?", "2:a,", "1:a#", "3:nan^", "3:inf^", "1:x!", "1:x~", "4:1:2#}", "3:1:a}", "-1:a,", "+1:a,", "1 :a,"} {
		if v, err := parseTNetString([]byte(bad), maxDepth); err == nil {
			t.Errorf("%q is %v", bad, v)
		}
	}
}

func TestLayoutNames(t *testing.T) {
	for _, name := range Layouts() {
		if l, err := LayoutNamed(name); err != nil || l == nil {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	if _, err := LayoutNamed("grz"); err == nil || !strings.Contains(err.Error(), "text-space") {
		t.Errorf("grz: %v", err)
	}
	for i, name := range PayloadRules() {
		if r, err := PayloadRuleNamed(name); err != nil || int(r) != i {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if _, err := PayloadRuleNamed("xml"); err == nil {
		t.Error("xml is a rule")
	}
}

// A layout keeps nothing of the frames that it was lent, and a reader that remembers names answers as a new one does.
func FuzzLayouts(f *testing.F) {
	for _, seed := range []struct{ layout, data, room string }{
		{"greenroom", "lobby\x00price\x00{\"eur\": 4.2}", ""}, {"greenroom", `{"room":["a","b"],"bin":["AP8="]}`, ""},
		{"pushpin", `J{"channel":"c","meta":{"sender":"s"},"ws-message":{"content":"x","content-filters":["skip-self"]}}`, ""},
		{"pushpin", "T59:7:channel,4:test,7:formats,30:10:ws-message,14:7:content,1:x,}}}", ""}, {"pushpin", "c\x0023:10:ws-message,7:0:,0:~}}", ""},
		{"text-space", "10001 23 45", ""}, {"text-space", "/chat#r hi", ""}, {"text-colon", "r:\xff", ""},
		{"json-type", `{"type":"t","data":[1],"room":"x"}`, "all"}, {"bitcoin", "rawtx\x00\xff\x00abcd", ""},
		{"bitcoin", "rawtx\x00\xff\x00abcd", "chain"}, {"raw", "a\x00b", "r"}, {"raw", "a", "$r"},
	} {
		for i, l := range layouts {
			if l.name == seed.layout {
				f.Add(byte(i), []byte(seed.data), byte(0), i%2 == 0, seed.room)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte, rule byte, topics bool, room string) {
		l := layouts[int(which)%len(layouts)].layout
		format := Format{Layout: l, Payload: PayloadRule(rule % 4), NamespaceInTopic: topics, Room: room}.withDefaults()
		var message [][]byte
		for part := range strings.SplitSeq(string(data), "\x00") {
			message = append(message, []byte(part))
		}
		want, wantErr := l.Parse(cloneFrames(message), format)
		old := newReader(&format)
		for range 2 {
			err := old.read(message)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && len(old.pubs) != len(want) {
				t.Fatalf("%v and %d publications, then %v and %d", wantErr, len(want), err, len(old.pubs))
			}
		}
		if wantErr != nil {
			var r *Refusal
			if !errors.As(wantErr, &r) || r.Reason == "" || want != nil {
				t.Fatalf("%v with %d publications", wantErr, len(want))
			}
			return
		}
		lent := lending(&format)
		if err := lent.read(message); err != nil || len(lent.pubs) != len(want) {
			t.Fatalf("lent: %v, %d publications for %d", err, len(lent.pubs), len(want))
		}
		for i, p := range want {
			if got := describe(lent.pubs[i]); got != describe(p) {
				t.Fatalf("%s is lent as %s", describe(p), got)
			}
		}
		for _, frame := range message {
			clear(frame)
		}
		for i, p := range want {
			if got := describe(old.pubs[i]); got != describe(p) {
				t.Fatalf("%s has become %s", describe(p), got)
			}
			if err := errors.Join(checkAddress(p.Namespace, p.Room), checkEvent(p.Event)); err != nil {
				t.Fatalf("%s: %v", describe(p), err)
			}
			if _, err := hub.EncodeArgs(p.Event, p.Args...); err != nil {
				t.Fatalf("%s: %v", describe(p), err)
			}
		}
	})
}

// TestAllocations: what one message costs between the connection's buffer and the hub.
func TestAllocations(t *testing.T) {
	body, object := strings.Repeat("x", 64), `{"eur":4.2,"at":[1,2,3]}`
	for _, c := range []struct {
		name   string
		format Format
		frames [][]byte
		most   float64
		where  string
	}{
		{"room and text", Format{}, frames("lobby", body), 2, "the box of what is lent, the list of arguments"},
		{"room, event and text", Format{}, frames("lobby", "tick", body), 2, "the same"},
		{"room, event and JSON", Format{}, frames("lobby", "tick", object), 3, "the compact JSON, its box, the list"},
		{"room and bytes", Format{}, frames("lobby", "\xff"+body), 3, "the bytes, their box, the list"},
		{"text behind a space", with(TextSpace, Format{}), frames("lobby " + body), 2, "as room and text"},
		{"a block", with(Bitcoin, Format{}), frames("rawtx", body, "\x01\x00\x00\x00"), 3, "as room and bytes"},
		{"raw", with(Raw, Format{Room: "r"}), frames(body), 3, "as room and bytes"},
	} {
		h := &countingHub{}
		b := &Bridge{hub: h, opts: Options{SubFormat: c.format}.withDefaults()}
		p := &peer{endpoint: &endpoint{bridge: b}}
		p.is(anyone("feeds"))
		in := lending(&b.opts.SubFormat)
		got := testing.AllocsPerRun(1000, func() { b.ingest(p, in, c.frames, nil) })
		t.Logf("%s: %.0f allocations: %s", c.name, got, c.where)
		if got > c.most {
			t.Errorf("%s: %.1f allocations, more than %.0f", c.name, got, c.most)
		}
		if h.published == 0 || h.counted > 0 {
			t.Errorf("%s: %d published, %d counted", c.name, h.published, h.counted)
		}
	}
}

// countingHub takes everything.
type countingHub struct{ published, counted int }

func (h *countingHub) Publish(hub.Publication) (string, error) { h.published++; return "", nil }
func (h *countingHub) Tap(func(*hub.Message)) (cancel func())  { return func() {} }
func (h *countingHub) Count(string)                            { h.counted++ }
func (h *countingHub) Saturated() bool                         { return false }
