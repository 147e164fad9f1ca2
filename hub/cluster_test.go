package hub

import (
	"errors"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// twoNodes are two hubs in one cluster, with a member of room "a" each.
func twoNodes(t *testing.T, answer func(*Message) any) (h [2]*Hub, c [2]*fakeConn) {
	t.Helper()
	var cluster Cluster
	for i, name := range []string{"n0", "n1"} {
		h[i] = newTestHub(t, Options{Loops: 2, Adapter: cluster.Adapter(), Node: name})
		mustHandle(t, h[i], "/", chatter)
		c[i] = answering(t, h[i], i, answer)
	}
	return h, c
}

func yes(*Message) any { return "yes" }

func TestBroadcastsReachTheOtherNode(t *testing.T) {
	h, c := twoNodes(t, yes)
	emit := func(target Target, event string) {
		t.Helper()
		if err := target.Emit(event); err != nil {
			t.Error(err)
		}
	}
	emit(h[0].To("a"), "room")
	emit(h[0].To(), "all")
	emit(h[0].To(c[1].session.ID()), "direct")
	emit(h[0].To("a").Except(c[1].session.ID()), "except")
	emit(h[0].To("a").Local(), "local")
	c[0].on(func(s *Session) { emit(s.To("a"), "others") })
	c[1].on(func(s *Session) { emit(s.To("a"), "back") })
	if _, err := h[0].Publish(Publication{Room: "a", Event: "published", Except: []string{c[0].session.ID()}}); err != nil {
		t.Error(err)
	}
	names := func(c *fakeConn, n int) []string {
		var out []string
		for _, line := range c.waitEvents(t, n) {
			ev, err := Payload{JSON: []byte(line)}.event()
			if err != nil {
				t.Error(err)
			}
			out = append(out, ev)
		}
		return out
	}
	if got, want := names(c[0], 5), []string{"room", "all", "except", "local", "back"}; !slices.Equal(got, want) {
		t.Errorf("here %q, want %q", got, want)
	}
	got := names(c[1], 5)
	slices.Sort(got) // those to everybody, to one and to a room have no order among them
	if want := []string{"all", "direct", "others", "published", "room"}; !slices.Equal(got, want) {
		t.Errorf("there %q, want %q", got, want)
	}
}

// What one goroutine emits to a room arrives in order on the other node, too.
// What is said about a message holds on the other node.
func TestHowAMessageTravelsHoldsOnTheOtherNode(t *testing.T) {
	h, c := twoNodes(t, yes)
	type how struct{ volatile, plain bool }
	got := make(chan how, 8)
	c[1].on(func(*Session) {
		answer := c[1].onSend
		c[1].onSend = func(f *Frame) {
			m := f.Message()
			got <- how{m.Volatile, m.NoCompress}
			answer(f)
		}
	})
	room := h[0].To("a")
	for want, target := range map[how]Target{
		{}: room, {volatile: true}: room.Volatile(), {plain: true}: room.Compress(false), {true, true}: room.Compress(false).Volatile(),
	} {
		if err := target.Emit("e"); err != nil {
			t.Fatal(err)
		}
		if is := <-got; is != want {
			t.Errorf("an event is %+v, want %+v", is, want)
		}
		if answers, err := target.Ask("q"); err != nil || len(answers) != 2 {
			t.Errorf("%d answers, %v", len(answers), err)
		}
		if is := <-got; is != want {
			t.Errorf("a question is %+v, want %+v", is, want)
		}
	}
}

func TestBroadcastsKeepTheirOrderOnTheOtherNode(t *testing.T) {
	h, c := twoNodes(t, yes)
	const n = 200
	var want []string
	for i := range n {
		p, err := EncodeArgs("n", i)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(p.JSON))
		if err := h[0].To("a").Emit("n", i); err != nil {
			t.Fatal(err)
		}
	}
	if got := c[1].waitEvents(t, n); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAskingClientsOfBothNodes(t *testing.T) {
	h, c := twoNodes(t, yes)
	answers, err := h[0].To("a").Within(10 * time.Second).Ask("vote?")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, a := range answers {
		got[a.Session] = a.Node
	}
	if len(answers) != 2 || got[c[1].session.ID()] != "n1" || got[c[0].session.ID()] != "" {
		t.Errorf("got %v", got)
	}
	if answers, err := h[0].To("a").Local().Ask("vote?"); err != nil || len(answers) != 1 {
		t.Errorf("locally %v, %v", answers, err)
	}
}

func TestASilentClientOfAnotherNodeIsNamed(t *testing.T) {
	h, c := twoNodes(t, func(m *Message) any { return nil })
	c[0].leave("transport close")
	_, err := h[0].To("a").Within(50 * time.Millisecond).Ask("vote?")
	var missing *MissingError
	if !errors.As(err, &missing) || !errors.Is(err, coop.ErrTimeout) {
		t.Fatalf("error %v", err)
	}
	// Both nodes have the same time: either the client is known to be missing, or its node is.
	if !slices.Equal(missing.Sessions, []string{c[1].session.ID()}) && !slices.Equal(missing.Nodes, []string{"n1"}) {
		t.Errorf("missing %+v", missing)
	}
}

func TestSessionsOfBothNodes(t *testing.T) {
	h, c := twoNodes(t, yes)
	snaps, err := h[0].In("a").Sessions()
	if err != nil || len(snaps) != 2 {
		t.Fatalf("%v, %v", snaps, err)
	}
	i := slices.IndexFunc(snaps, func(s Snapshot) bool { return s.Node == "n1" })
	if i < 0 || snaps[i].ID != c[1].session.ID() {
		t.Fatalf("got %+v", snaps)
	}
	there := snaps[i]
	if err := there.Emit("hi"); err != nil {
		t.Error(err)
	}
	if got := c[1].waitEvents(t, 1); got[0] != `["hi"]` {
		t.Errorf("got %q", got)
	}
	if err := there.Join("b"); err != nil {
		t.Error(err)
	}
	there.Leave("a")
	again, err := there.Target().Sessions()
	if err != nil || len(again) != 1 || !slices.Equal(again[0].Rooms, []string{"b"}) {
		t.Errorf("then %+v, %v", again, err)
	}
	there.Disconnect("enough")
	c[1].wait(t, "the end", func() bool { return c[1].state == "left" })
	if r := c[1].session.Reason(); r != "enough" {
		t.Errorf("reason %q", r)
	}
}

// mute is a node that does nothing of what it is asked.
type mute struct{ Node }

func (mute) Serve(*NodeRequest, func(NodeReply)) {}

// muting lets a node join as one that does not answer.
type muting struct{ Adapter }

func (m muting) Join(n Node) error { return m.Adapter.Join(mute{n}) }

func TestASilentNodeIsNamed(t *testing.T) {
	var cluster Cluster
	h := newTestHub(t, Options{Loops: 1, Adapter: cluster.Adapter(), Node: "n0"})
	mustHandle(t, h, "/", chatter)
	answering(t, h, 0, yes)
	newTestHub(t, Options{Loops: 1, Adapter: muting{cluster.Adapter()}, Node: "n1"})
	named := func(what string, err error) {
		t.Helper()
		var missing *MissingError
		if !errors.As(err, &missing) || !slices.Equal(missing.Nodes, []string{"n1"}) || len(missing.Sessions) != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	quick := h.To().Within(20 * time.Millisecond)
	snaps, err := quick.Sessions()
	named("Sessions", err)
	if len(snaps) != 1 {
		t.Errorf("%d sessions", len(snaps))
	}
	answers, err := quick.Ask("vote?")
	named("Ask", err)
	if len(answers) != 1 {
		t.Errorf("%d answers", len(answers))
	}
	_, err = h.Of("/").ServerAsk(20*time.Millisecond, "x")
	named("ServerAsk", err)
}

func TestServerEvents(t *testing.T) {
	h, _ := twoNodes(t, yes)
	got := make(chan string, 4)
	ns := h[1].Of("/")
	for _, err := range []error{
		ns.OnServer("note", func(text string) { got <- text }),
		ns.OnServer("sum", func(a, b int) int { return a + b }),
		ns.OnServer("fail", func() error { return errors.New("no") }),
		ns.OnServer("panic", func() { panic("handler") }),
		h[0].Of("/").OnServer("note", func(text string) { got <- "own " + text }),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for what, err := range map[string]error{
		"twice":       ns.OnServer("note", func() {}),
		"reserved":    ns.OnServer("connection", func() {}),
		"a session":   ns.OnServer("s", func(*Session) {}),
		"no function": ns.OnServer("f", 1),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := h[0].Of("/").ServerEmit("note", "hello"); err != nil {
		t.Error(err)
	}
	if text := <-got; text != "hello" {
		t.Errorf("got %q", text)
	}
	for _, event := range []string{"connect", "connection", "new_namespace"} {
		if err := h[0].Of("/").ServerEmit(event); !errors.Is(err, ErrReservedEvent) {
			t.Errorf("%s: %v", event, err)
		}
	}
	for _, tc := range []struct {
		event string
		args  []any
		want  string
	}{
		{"sum", []any{1, 2}, `[3]`},
		{"sum", []any{"one", 2}, `[{"error":{"code":"bad_arguments","message":"sum: argument 1: want a whole number, got a string"},"ok":false}]`},
		{"fail", nil, `[{"error":{"code":"error","message":"no"},"ok":false}]`},
		{"panic", nil, `[{"error":{"code":"error","message":"the handler panicked"},"ok":false}]`},
	} {
		answers, err := h[0].Of("/").ServerAsk(10*time.Second, tc.event, tc.args...)
		if err != nil || len(answers) != 1 || string(answers[0].Payload.JSON) != tc.want || answers[0].Node != "n1" {
			t.Errorf("%s: %v, %v", tc.event, answers, err)
		}
	}
	if answers, err := h[0].Of("/").ServerAsk(10*time.Second, "unknown"); err != nil || len(answers) != 0 {
		t.Errorf("unknown: %v, %v", answers, err)
	}
	alone := newTestHub(t, Options{Loops: 1})
	if answers, err := alone.Of("/").ServerAsk(10*time.Second, "x"); err != nil || len(answers) != 0 {
		t.Errorf("alone: %v, %v", answers, err)
	}
	select {
	case text := <-got:
		t.Errorf("got %q as well", text)
	default:
	}
}

func TestNodesNeedNamesOfTheirOwn(t *testing.T) {
	var cluster Cluster
	a := cluster.Adapter()
	newTestHub(t, Options{Loops: 1, Adapter: a, Node: "n"})
	for what, adapter := range map[string]Adapter{"the name is taken": cluster.Adapter(), "the adapter is taken": a} {
		if h, err := New(Options{Loops: 1, Adapter: adapter, Node: "n"}); err == nil {
			t.Errorf("%s: no error", what)
			h.Close()
		}
	}
}

func TestANodeThatIsClosedIsNotAsked(t *testing.T) {
	h, _ := twoNodes(t, yes)
	if err := h[1].Close(); err != nil {
		t.Fatal(err)
	}
	if snaps, err := h[0].To().Within(time.Hour).Sessions(); err != nil || len(snaps) != 1 {
		t.Errorf("%v, %v", snaps, err)
	}
}

// failing is an adapter whose network is gone.
type failing struct{ Adapter }

func (failing) Send(*NodeRequest, func(NodeReply)) (func() []string, error) {
	return nil, errors.New("no network")
}

func TestWithoutItsNetworkANodeGoesOn(t *testing.T) {
	var cluster Cluster
	h := newTestHub(t, Options{Loops: 1, Adapter: failing{cluster.Adapter()}})
	mustHandle(t, h, "/", chatter)
	c := answering(t, h, 0, yes)
	if err := h.To("a").Emit("x"); err != nil {
		t.Error(err)
	}
	c.waitEvents(t, 1)
	if answers, err := h.To("a").Ask("y"); err != nil || len(answers) != 1 {
		t.Errorf("%v, %v", answers, err)
	}
	if n := h.Counters()["adapter_failed"]; n != 2 {
		t.Errorf("%d failures counted", n)
	}
}
