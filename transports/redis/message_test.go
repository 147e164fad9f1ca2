//go:build unix

package redis

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"greenroom/hub"
)

// published is a message that a Node.js node has published.
type published struct {
	mode, channel string
	body          []byte
}

// officialMessages are those of testdata/sharded.txt: mode, channel and body, in Go's quotes, as two nodes with
// @socket.io/redis-adapter 8.3.0 have published them.
func officialMessages(t testing.TB) (all []published) {
	t.Helper()
	f, err := os.Open("testdata/sharded.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mode, rest, _ := strings.Cut(lines.Text(), " ")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			t.Fatal(err)
		}
		channel, _ := strconv.Unquote(quoted)
		body, err := strconv.Unquote(rest[len(quoted)+1:])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, published{mode, channel, []byte(body)})
	}
	if len(all) < 90 {
		t.Fatalf("%d messages", len(all))
	}
	return all
}

// What Node.js writes is read, and written again byte by byte.
func TestMessagesOfNode(t *testing.T) {
	for _, p := range officialMessages(t) {
		m, err := readMessage(p.body)
		if err != nil {
			t.Errorf("%s: %q: %v", p.channel, p.body, err)
			continue
		}
		again, err := m.append(nil)
		if err != nil || !bytes.Equal(again, p.body) {
			t.Errorf("%s:\n got %q, %v\nwant %q", p.channel, again, err, p.body)
		}
	}
}

func TestMessagesAsWritten(t *testing.T) {
	binary := hub.Payload{JSON: []byte(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}
	for name, c := range map[string]struct {
		m    message
		want string
	}{
		"a publication": {
			message{kind: msgBroadcast, uid: "u", nsp: "/", payload: hub.Payload{JSON: []byte(`["e"]`)}, opts: addressed{rooms: []string{"r\"\u2028"}, ours: oursSaid | oursPublished, plain: true}},
			`{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":["r\"` + "\u2028" + `"],"except":[],"flags":{"compress":false,"greenroom":3}}},"uid":"u","nsp":"/"}`,
		},
		"a disconnection": {
			message{kind: msgDisconnect, uid: "u", nsp: "/", close: true, reason: "closing"},
			`{"type":6,"data":{"opts":{"rooms":[],"except":[],"flags":{"reason":"closing"}},"close":true},"uid":"u","nsp":"/"}`,
		},
		"an answer of undefined": {
			message{kind: msgAck, uid: "u", nsp: "/", requestID: "q", payload: hub.Payload{JSON: []byte(`[]`)}},
			`{"type":12,"data":{"requestId":"q"},"uid":"u","nsp":"/"}`,
		},
		"an answer of two": {
			message{kind: msgAck, uid: "u", nsp: "/", requestID: "q", payload: hub.Payload{JSON: []byte(`[{"a":[1]},2]`)}},
			`{"type":12,"data":{"requestId":"q","packet":{"a":[1]}},"uid":"u","nsp":"/"}`,
		},
		"demand":           {message{kind: msgDemand, uid: "u", nsp: "/", prefixes: []string{"a", ""}}, `{"type":100,"data":{"prefixes":["a",""]},"uid":"u","nsp":"/"}`},
		"asking for it":    {message{kind: msgDemandAsked, uid: "u", nsp: "/"}, `{"type":101,"data":{},"uid":"u","nsp":"/"}`},
		"a binary event":   {message{kind: msgServerEmit, uid: "u", nsp: "/", payload: binary}, "\x84\xa4type\x09\xa4data\x81\xa6packet\x92\xa1e\xc4\x02\x01\x02\xa3uid\xa1u\xa3nsp\xa1/"},
		"a binary message": {message{kind: msgBroadcast, uid: "u", nsp: "/", payload: binary, opts: addressed{volatile: true, plain: true, timeout: 1000, ours: 3}, reason: "r"}, "\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x92\xa1e\xc4\x02\x01\x02\xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x85\xa8volatile\xc3\xa8compress\xc2\xa7timeout\xcd\x03\xe8\xa6reason\xa1r\xa9greenroom\x03\xa3uid\xa1u\xa3nsp\xa1/"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.m.append(nil)
			if err != nil || string(got) != c.want {
				t.Fatalf("got %q, %v\nwant %q", got, err, c.want)
			}
			back, err := readMessage(got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := back.append(nil)
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("read and written again: %q, %v", again, err)
			}
		})
	}
}

// What other languages and other versions may write.
func TestMessagesInOtherForms(t *testing.T) {
	for body, want := range map[string]message{
		`{"nsp":"\/", "uid":"\u0075", "data":{"x":[{}], "opts":{"flags":null,"rooms":[42,"a\n",-1.5e3],"except":null}, "packet":{"nsp":"/","data" : ["e", 1 ] ,"type":5}}, "more":{"deep":[[]]}, "type":3} `: {
			kind: msgBroadcast, uid: "u", nsp: "/", payload: hub.Payload{JSON: []byte(`["e", 1 ]`)}, opts: addressed{rooms: []string{"42", "a\n", "-1.5e3"}},
		},
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":[],"flags":{"timeout":1e99,"volatile":1,"other":{}}}},"uid":"u","nsp":"/"}`: {
			kind: msgBroadcast, uid: "u", nsp: "/", payload: hub.Payload{JSON: []byte(`["e"]`)}, opts: addressed{timeout: 300_000},
		},
		"\x84\xa3nsp\xd9\x01/\xa3uid\xda\x00\x01u\xa4data\xde\x00\x02\xa4opts\x81\xa5rooms\x92\x2a\xa1a\xa6packet\x82\xa4type\xcc\x05\xa4data\x91\xa1e\xa4type\xd2\x00\x00\x00\x03": {
			kind: msgBroadcast, uid: "u", nsp: "/", payload: hub.Payload{JSON: []byte(`["e"]`)}, opts: addressed{rooms: []string{"42", "a"}},
		},
	} {
		got, err := readMessage([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", body, got, err, want)
		}
	}
}

func TestMessagesRefused(t *testing.T) {
	broadcast := func(packet, opts string) string {
		return `{"type":3,"data":{"packet":` + packet + `,"opts":` + opts + `},"uid":"u","nsp":"/"}`
	}
	for name, body := range map[string]string{
		"nothing":               "",
		"a word":                "PING",
		"half":                  `{"type":3,"data":{"packet":{"type":2,"data":["e"]`,
		"more":                  broadcast(`{"type":2,"data":["e"]}`, `{}`) + "x",
		"no type":               `{"data":{},"uid":"u","nsp":"/"}`,
		"no data":               `{"type":3,"uid":"u","nsp":"/"}`,
		"data is null":          `{"type":3,"data":null,"uid":"u","nsp":"/"}`,
		"type is a text":        `{"type":"3","data":{},"uid":"u","nsp":"/"}`,
		"type is too large":     `{"type":300,"data":{},"uid":"u","nsp":"/"}`,
		"uid is a number":       `{"type":3,"data":{},"uid":1,"nsp":"/"}`,
		"no packet":             `{"type":3,"data":{"opts":{}},"uid":"u","nsp":"/"}`,
		"packet is no event":    broadcast(`{"type":4,"data":["e"]}`, `{}`),
		"data is no list":       broadcast(`{"type":2,"data":{"0":"e"}}`, `{}`),
		"rooms are no list":     broadcast(`{"type":2,"data":["e"]}`, `{"rooms":"r"}`),
		"rooms are objects":     broadcast(`{"type":2,"data":["e"]}`, `{"rooms":[{}]}`),
		"too many rooms":        broadcast(`{"type":2,"data":["e"]}`, `{"rooms":[`+strings.Repeat("1,", maxRooms)+`1]}`),
		"not UTF-8":             broadcast("{\"type\":2,\"data\":[\"\xff\"]}", `{}`),
		"too deep":              broadcast(`{"type":2,"data":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)+`}`, `{}`),
		"far too deep":          strings.Repeat(`{"a":`, 1_000_000),
		"a control byte":        broadcast("{\"type\":2,\"data\":[\"\n\"]}", `{}`),
		"a bad escape":          broadcast(`{"type":2,"data":["\x"]}`, `{}`),
		"a bad number":          broadcast(`{"type":2,"data":["e",01]}`, `{}`),
		"a trailing comma":      broadcast(`{"type":2,"data":["e",]}`, `{}`),
		"no request":            `{"type":12,"data":{"packet":1},"uid":"u","nsp":"/"}`,
		"a negative count":      `{"type":11,"data":{"requestId":"q","clientCount":-1},"uid":"u","nsp":"/"}`,
		"sockets no list":       `{"type":8,"data":{"requestId":"q","sockets":{}},"uid":"u","nsp":"/"}`,
		"msgpack, a list":       "\x91\xc0",
		"msgpack, a huge map":   "\xdf\xff\xff\xff\xff\xa1a\xc0",
		"msgpack, wrong types":  "\x84\xa4type\xa1x\xa4data\x80\xa3uid\xa1u\xa3nsp\xa1/",
		"msgpack, cut":          "\x84\xa4type\x03\xa4data\x82\xa6packet",
		"msgpack, data a list":  "\x84\xa4type\x03\xa4data\x90\xa3uid\xa1u\xa3nsp\xa1/",
		"msgpack, rooms a text": "\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x91\xa1e\xa4opts\x81\xa5rooms\xa1r\xa3uid\xa1u\xa3nsp\xa1/",
		"msgpack, a huge list":  "\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\xdd\xff\xff\xff\xff\xa1e\xa4opts\x80\xa3uid\xa1u\xa3nsp\xa1/",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := readMessage([]byte(body)); err == nil {
				t.Errorf("taken as %+v", m)
			}
		})
	}
}

// FuzzMessage: whatever comes, reading it returns, and what was read is written and read again as the same.
func FuzzMessage(f *testing.F) {
	for _, p := range officialMessages(f) {
		f.Add(p.body)
	}
	f.Add([]byte(`{"type":100,"data":{"prefixes":["a"]},"uid":"u","nsp":"/"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		m, err := readMessage(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			return
		}
		if p := m.payload.JSON; p != nil && !json.Valid(p) {
			t.Fatalf("payload %q", p)
		}
		if m.kind < msgBroadcast || m.kind > msgAck {
			return
		}
		out, err := m.append(nil)
		if err != nil {
			if len(m.payload.Attachments) > 0 {
				return // of a type that has none
			}
			t.Fatal(err)
		}
		if out[0] == '{' && !json.Valid(out) {
			t.Fatalf("wrote %q", out)
		}
		clear(body)
		again, err := readMessage(out)
		if err != nil {
			t.Fatalf("wrote %q: %v", out, err)
		}
		if out2, err := again.append(nil); err != nil || !bytes.Equal(out, out2) {
			t.Fatalf("wrote %q, then %q: %v", out, out2, err)
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	m := message{
		kind: msgBroadcast, uid: "0b8b611f3e77b081", nsp: "/",
		payload: hub.Payload{JSON: []byte(`["price",{"symbol":"EUR","bid":1.0832,"ask":1.0834,"at":1795520188129}]`)},
		opts:    addressed{rooms: []string{"prices:EUR"}},
	}
	body, _ := m.append(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, m.size())
		for b.Loop() {
			buf, _ = m.append(buf[:0])
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readMessage(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
