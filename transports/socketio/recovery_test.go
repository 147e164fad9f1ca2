package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// serveRecovery starts a server whose sessions can be recovered. The handler of "/" and "/custom" is in room
// "r" from the beginning, and answers `go` by a direct event, a question, and events to all and to the room.
func serveRecovery(t *testing.T, r hub.Recovery) *fixture {
	t.Helper()
	var o settings
	o.hub.Recovery = &r
	f := serve(t, o)
	for _, namespace := range []string{"/", "/custom"} {
		f.handle(t, namespace, func(s *hub.Session) error {
			if err := s.Join("r"); err != nil && !errors.Is(err, hub.ErrGone) {
				return err
			}
			for ev := range s.Events() {
				to := s.Hub().Of(s.Namespace())
				switch ev.Name {
				case "go":
					err := errors.Join(s.Emit("direct", 1), to.To().Emit("all", 2), to.To("r").Emit("room", []byte{1}))
					if err != nil {
						return err
					}
				case "volatile":
					if err := to.To("r").Volatile().Emit("now"); err != nil {
						return err
					}
				case "state":
					_ = ev.Ack(s.ID(), s.Recovered(), s.Data) // such an answer always encodes
				case "data":
					s.Data = "kept"
				case "panic":
					panic("as asked for")
				}
			}
			return nil
		})
	}
	return f
}

// enter connects to a namespace with an auth object and returns what came before the reply, and the reply's ids.
func (c *client) enter(head, auth string) (before []message, sid, pid string) {
	c.t.Helper()
	c.send("40" + head + auth)
	for {
		m := c.next()
		body, ok := strings.CutPrefix(m.text, "40"+head)
		if !ok || m.binary {
			before = append(before, m)
			continue
		}
		var reply struct{ SID, PID string }
		if json.Unmarshal([]byte(body), &reply) != nil || body != fmt.Sprintf(`{"sid":"%s","pid":"%s"}`, reply.SID, reply.PID) ||
			len(reply.SID) != 20 || len(reply.PID) != 20 {
			c.t.Fatalf("connecting: got %s, want the keys sid and pid", body)
		}
		return before, reply.SID, reply.PID
	}
}

var trailing = regexp.MustCompile(`,"([^"]+)"\]$`)

// marked takes the next event, which must be this one with an offset at its end, and returns that.
func (c *client) marked(text string) (offset string) {
	c.t.Helper()
	m := c.next()
	found := trailing.FindStringSubmatch(m.text)
	if found == nil || strings.TrimSuffix(m.text, found[0])+"]" != text {
		c.t.Fatalf("got %s, want %s with an offset", m, text)
	}
	return found[1]
}

func texts(list []message) (out []string) {
	for _, m := range list {
		if m.binary {
			out = append(out, m.String())
		} else {
			out = append(out, m.text)
		}
	}
	return out
}

// The frames are those of the Node.js server in the same situation, offsets apart.
func TestRecoveryOnTheWire(t *testing.T) {
	for namespace, head := range map[string]string{"/": "", "/custom": "/custom,"} {
		t.Run(namespace, func(t *testing.T) {
			f := serveRecovery(t, hub.Recovery{})
			c := f.dial(t)
			_, sid, pid := c.enter(head, "")
			c.send(`42` + head + `["data"]`)
			c.send(`42` + head + `["go"]`)
			direct := c.marked(`42` + head + `["direct",1]`)
			all := c.marked(`42` + head + `["all",2]`)
			room := c.marked(`451-` + head + `["room",{"_placeholder":true,"num":0}]`)
			c.wantBinary([]byte{1})
			c.send(`42` + head + `["volatile"]`)
			c.want(`42` + head + `["now"]`)
			c.send(`42` + head + `7["state"]`)
			c.want(`43` + head + `7["` + sid + `",false,"kept"]`)

			c.conn.Close()
			to := f.hub.Of(namespace)
			eventually(t, "the client to be away", func() bool { return f.hub.SessionCount() == 0 })
			if err := errors.Join(to.To("r").Emit("missed1", "x"), to.To(sid).Emit("missed2", []byte{7, 8}), to.To("r").Volatile().Emit("now")); err != nil {
				t.Fatal(err)
			}

			c = f.dial(t)
			missed, sid2, pid2 := c.enter(head, `{"pid":"`+pid+`","offset":"`+direct+`","token":"own"}`)
			if sid2 != sid || pid2 != pid {
				t.Errorf("connected as %s with %s, want %s and %s", sid2, pid2, sid, pid)
			}
			got := texts(missed)
			want := []string{
				`42` + head + `["all",2,"` + all + `"]`,
				`451-` + head + `["room",{"_placeholder":true,"num":0},"` + room + `"]`, "binary 01",
				`42` + head + `["missed1","x",*]`,
				`451-` + head + `["missed2",{"_placeholder":true,"num":0},*]`, "binary 0708",
			}
			if len(got) != len(want) {
				t.Fatalf("missed %q, want %q", got, want)
			}
			for i := range want {
				if strings.Contains(want[i], "*") {
					got[i] = trailing.ReplaceAllString(got[i], ",*]")
				}
				if got[i] != want[i] {
					t.Errorf("missed %s, want %s", got[i], want[i])
				}
			}
			c.send(`42` + head + `8["state"]`)
			c.want(`43` + head + `8["` + sid + `",true,"kept"]`)
			if err := to.To("r").Emit("live"); err != nil {
				t.Fatal(err)
			}
			last := c.marked(`42` + head + `["live"]`)

			// What is no proper claim is no error: the session is new.
			for _, auth := range []string{
				`{"pid":"unknown","offset":"` + last + `"}`, `{"pid":"` + pid + `","offset":"zzz"}`, `{"pid":"` + pid + `"}`,
				`{"pid":7,"offset":"` + last + `"}`, `{"pid":"` + pid + `","offset":["` + last + `"]}`, `{"pid":null,"offset":null}`,
				`{"pid":{},"offset":{}}`, `{"pid":"","offset":""}`, `{"pid":"` + strings.Repeat("x", 100_000) + `","offset":"x"}`,
			} {
				other := f.dial(t)
				if missed, fresh, freshPID := other.enter(head, auth); fresh == sid || freshPID == pid || len(missed) > 0 {
					t.Errorf("%.80s: connected as %s with %s, missed %q", auth, fresh, freshPID, texts(missed))
				}
				other.conn.Close()
			}
		})
	}
}

func TestRecoveryOverPolling(t *testing.T) {
	f := serveRecovery(t, hub.Recovery{})
	p := f.poll(t)
	p.post("40")
	reply := p.get()
	var ids struct{ SID, PID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(reply, "40")), &ids); err != nil || len(ids.PID) != 20 {
		t.Fatalf("connected with %s", reply)
	}
	p.post(`42["go"]`)
	var offset string
	p.hears(t, func(packet string) bool {
		if m := trailing.FindStringSubmatch(packet); m != nil && strings.HasPrefix(packet, `42["direct",1`) {
			offset = m[1]
		}
		return packet == "bAQ=="
	})
	// The session is still there when the client comes back by another: polls may just be slow.
	q := f.poll(t)
	q.post(`40{"pid":"` + ids.PID + `","offset":"` + offset + `"}`)
	packets := strings.Split(q.get(), "\x1e")
	var got []string
	for _, packet := range packets {
		got = append(got, trailing.ReplaceAllString(packet, "]"))
	}
	want := []string{`42["all",2]`, `451-["room",{"_placeholder":true,"num":0}]`, "bAQ==", reply}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	p.hears(t, func(packet string) bool { return packet == "41" })
	f.counted(t, "recovery_replaced", 1)
}

// How a connection ends decides whether its session waits.
func TestWhatEndsCanBeRecovered(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*fixture, *client, string)
		want bool
	}{
		"the connection breaks": {func(_ *fixture, c *client, _ string) { c.conn.Close() }, true},
		"a packet of nonsense":  {func(_ *fixture, c *client, _ string) { c.send("49") }, true},
		"the client leaves":     {func(_ *fixture, c *client, _ string) { c.send("41") }, false},
		"the server ends it":    {func(f *fixture, _ *client, sid string) { f.hub.To(sid).Disconnect("enough") }, false},
		"the handler panics":    {func(_ *fixture, c *client, _ string) { c.send(`42["panic"]`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := serveRecovery(t, hub.Recovery{})
			c := f.dial(t)
			_, sid, pid := c.enter("", "")
			c.send(`42["go"]`)
			offset := c.marked(`42["direct",1]`)
			tc.end(f, c, sid)
			eventually(t, "the session to end", func() bool { return f.hub.SessionCount() == 0 })
			d := f.dial(t)
			if _, again, _ := d.enter("", `{"pid":"`+pid+`","offset":"`+offset+`"}`); (again == sid) != tc.want {
				t.Errorf("connected as %s, was %s", again, sid)
			}
		})
	}
}

// The official client, cut off again and again, gets everything exactly once and in order.
func TestOfficialClientRecovers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir := testenv.JS(t)
	for _, transport := range []string{"websocket", "polling", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			var o settings
			o.hub.Recovery = &hub.Recovery{}
			o.server.Engine.CloseTimeout = time.Second // for polls that will not come
			f := serve(t, o)
			p := newCutter(t, f.url)
			f.handle(t, "/back", (&flow{cutter: p}).serve)
			testenv.RunNode(t, dir, "recovery.test.mjs", "GREENROOM_URL="+p.url, "GREENROOM_TRANSPORT="+transport)
		})
	}
}

// flow sends numbers to its clients, to them alone and to a room, before and after it cuts them off.
type flow struct{ cutter *cutter }

func (w *flow) serve(s *hub.Session) error {
	type counts struct{ direct, room int }
	room := "of " + s.ID()
	if !s.Recovered() {
		s.Data = new(counts)
		if err := s.Join(room); err != nil {
			return err
		}
	}
	n := s.Data.(*counts)
	send := func() error {
		for range 5 {
			// A client that is away gets both all the same.
			if err := s.Emit("direct", n.direct, []byte{byte(n.direct)}); err != nil && !errors.Is(err, hub.ErrGone) {
				return err
			}
			n.direct++
			if err := s.Hub().Of("/back").To(room).Emit("room", n.room); err != nil {
				return err
			}
			n.room++
		}
		return nil
	}
	for ev := range s.Events() {
		var err error
		switch ev.Name {
		case "send":
			err = send()
		case "cut":
			err = send()
			w.cutter.cut()
			err = errors.Join(err, send())
		case "state":
			err = ev.Ack(s.ID(), s.Recovered(), s.In(room), n.direct, n.room)
		}
		if err != nil {
			return err
		}
	}
	return send() // what is said when it has left
}

// A client with msgpack comes back as one with JSON does, and gets what others said in its own form.
func TestRecoveryInMsgpack(t *testing.T) {
	o := settings{server: Options{Parser: Msgpack}}
	o.hub.Recovery = &hub.Recovery{}
	f := serve(t, o)
	f.handle(t, "/", func(s *hub.Session) error {
		if !s.Recovered() {
			if err := errors.Join(s.Join("r"), s.Emit("hello")); err != nil {
				return err
			}
		}
		for range s.Events() {
		}
		return nil
	})
	next := func(c *client) (kind PacketType, text string, binaries [][]byte) {
		t.Helper()
		m := c.next()
		p, binaries, err := decodeMsgpack(m.data, msgpackBounds)
		if err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		return p.Type, string(p.JSON), binaries
	}
	var ids struct{ SID, PID string }
	c := f.dial(t)
	c.sendBinary(packed(Connect, "/", hub.NoAck, `{}`))
	kind, text, _ := next(c)
	if err := json.Unmarshal([]byte(text), &ids); kind != Connect || err != nil {
		t.Fatalf("%c %s", kind, text)
	}
	_, hello, _ := next(c)
	offset := trailing.FindStringSubmatch(hello)
	if offset == nil {
		t.Fatal(hello)
	}
	c.conn.Close()
	eventually(t, "the client to be away", func() bool { return f.hub.SessionCount() == 0 })
	if err := f.hub.To("r").Emit("missed", []byte{7}); err != nil {
		t.Fatal(err)
	}
	c = f.dial(t)
	c.sendBinary(packed(Connect, "/", hub.NoAck, `{"pid":"`+ids.PID+`","offset":"`+offset[1]+`"}`))
	kind, text, binaries := next(c)
	if !strings.HasPrefix(text, `["missed",{"_placeholder":true,"num":0},"`) || kind != Event || len(binaries) != 1 || string(binaries[0]) != "\x07" {
		t.Errorf("missed %c %s, %x", kind, text, binaries)
	}
	if kind, text, _ = next(c); kind != Connect || text != `{"sid":"`+ids.SID+`","pid":"`+ids.PID+`"}` {
		t.Errorf("connected by %c %s", kind, text)
	}
}
