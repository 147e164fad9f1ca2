package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

// comer is a client that may come back. What it gets lies in one list: events without their offsets, "accepted",
// "refused" and "left".
type comer struct {
	*fakeConn
	h       *Hub
	had     string   // the offset that it came with
	offsets []string // of the events, "" where there was none
}

func (c *comer) note(what, offset, state string) {
	c.change(func() {
		c.got, c.offsets = append(c.got, what), append(c.offsets, offset)
		if state != "" {
			c.state = state
		}
	})
}

func (c *comer) Send(f *Frame) {
	text, offset := unmarked(c.h, f)
	c.note(text, offset, "")
	if c.onSend != nil {
		c.onSend(f)
	}
}

func (c *comer) Accepted(*Session) {
	c.note("accepted", "", "accepted")
}

func (c *comer) Leave(*Session, bool) {
	c.note("left", "", "left")
}

// ticketOf is what the client knows: its secret and the offset of the last event.
func (c *comer) ticketOf() (pid, offset string) {
	c.on(func(s *Session) { pid = s.RecoveryID() })
	c.mu.Lock()
	defer c.mu.Unlock()
	offset = c.had
	for _, o := range c.offsets {
		if o != "" {
			offset = o
		}
	}
	return pid, offset
}

// come brings a client in, or back, and waits for the answer.
func come(t testing.TB, h *Hub, loop int, namespace, pid, offset string) *comer {
	t.Helper()
	c := &comer{fakeConn: newFakeConn(h, loop), h: h, had: offset}
	c.start(namespace, pid, offset)
	c.wait(t, "an answer to connect", func() bool { return c.state != "" && (c.session != nil || c.err != nil) })
	return c
}

func (c *comer) start(namespace, pid, offset string) {
	c.loop.Post(func() {
		s, err := c.h.Reconnect(c, namespace, &Handshake{Auth: json.RawMessage(`{}`)}, pid, offset)
		c.change(func() {
			if c.session = s; err != nil {
				c.state, c.err = "unknown", err
			}
		})
	})
}

// back is the client after its connection broke, on another loop if there is one.
func (c *comer) back(t testing.TB) *comer {
	t.Helper()
	pid, offset := c.ticketOf()
	c.leave("transport close")
	return come(t, c.h, (c.loop.ID()+1)%len(c.h.loops.All()), c.session.Namespace(), pid, offset)
}

// settled waits until everything sent so far has arrived.
func settled(h *Hub) {
	for _, l := range h.loops.All() {
		done := make(chan struct{})
		l.Post(func() { close(done) })
		<-done
	}
}

func (c *comer) wantGot(t testing.TB, want ...string) {
	t.Helper()
	settled(c.h)
	if got := c.events(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// stays is a handler that does nothing until its client leaves.
func stays(s *Session) error {
	for range s.Events() {
	}
	return nil
}

func recoveryHub(t testing.TB, o Options, r Recovery, handler any) *Hub {
	t.Helper()
	o.Recovery = &r
	if o.Loops == 0 {
		o.Loops = 2
	}
	h := newTestHub(t, o)
	mustHandle(t, h, "/", handler)
	return h
}

func emit(t testing.TB, to Target, event string, args ...any) {
	t.Helper()
	if err := to.Emit(event, args...); err != nil {
		t.Fatal(err)
	}
}

func TestRecoveryBringsBackWhatWasMissed(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) {
		s.Data = "mine"
		_ = errors.Join(s.Join("r"), s.Emit("hello"))
	})
	id, pid := a.session.ID(), ""
	a.on(func(s *Session) { pid = s.RecoveryID() })
	emit(t, h.To("r"), "seen")
	a.wantGot(t, "accepted", `["hello"]`, `["seen"]`)
	if a.session.Recovered() || len(pid) != 20 || pid == id {
		t.Errorf("id %s, pid %s, recovered %v", id, pid, a.session.Recovered())
	}

	_, offset := a.ticketOf()
	a.leave("transport close")
	emit(t, h.To("r"), "room", []byte{1, 2})
	emit(t, h.To("elsewhere"), "not mine")
	emit(t, h.To(), "all")
	emit(t, h.To(id), "me")
	emit(t, h.To("r", "elsewhere", id), "once")
	emit(t, h.To("r").Except(id), "not me")
	emit(t, h.To("r").Volatile(), "volatile")
	if _, err := h.Publish(Publication{Room: "r", Event: "published", Args: []any{1}}); err != nil {
		t.Fatal(err)
	}
	b := come(t, h, 1, "/", pid, offset)
	emit(t, h.To("r"), "live")
	settled(h)
	got := b.events()
	if len(got) != 7 || !strings.HasPrefix(got[4], `["published",1,{"room":"r"`) {
		t.Fatalf("got %q", got)
	}
	got = slices.Delete(got, 4, 5)
	want := []string{`["room",{"_placeholder":true,"num":0}]`, `["all"]`, `["me"]`, `["once"]`, "accepted", `["live"]`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b.on(func(s *Session) {
		if s.ID() != id || s.RecoveryID() != pid || !s.Recovered() || s.Data != "mine" || !s.In("r") || h.Of("/").Session(id) != s {
			t.Errorf("id %s for %s, pid %s for %s, recovered %v, data %v, rooms %q", s.ID(), id, s.RecoveryID(), pid, s.Recovered(), s.Data, s.Rooms())
		}
	})
	if h.SessionCount() != 1 {
		t.Errorf("%d sessions", h.SessionCount())
	}
	// And again, now from where it is.
	c := b.back(t)
	c.wantGot(t, "accepted")
	if !c.session.Recovered() {
		t.Error("not recovered a second time")
	}
}

func TestRecoveryMarksWhatCanBeMissed(t *testing.T) {
	h := recoveryHub(t, Options{Loops: 1}, Recovery{}, func(s *Session) error {
		_, err := Ask[int](s, 10*time.Second, "asked", "text")
		if !errors.Is(err, coop.ErrKilled) {
			t.Error(err)
		}
		return err
	})
	h.Of("/").Use(func(s *Session) error { return s.Emit("early") })
	var tapped []string
	defer h.Tap(func(m *Message) { tapped = append(tapped, string(m.Payload.JSON)) })()
	c := come(t, h, 0, "/", "", "")
	c.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("direct")) })
	emit(t, h.To("r"), "room")
	emit(t, h.To(), "all")
	emit(t, h.To(c.session.ID()), "id")
	emit(t, h.To("r").Volatile(), "volatile")
	c.wantGot(t, `["early"]`, "accepted", `["asked","text"]`, `["direct"]`, `["room"]`, `["all"]`, `["id"]`, `["volatile"]`)
	for i, want := range []bool{false, false, false, true, true, true, true, false} {
		if got := c.offsets[i] != ""; got != want {
			t.Errorf("%s has offset %q", c.got[i], c.offsets[i])
		}
	}
	if !slices.Equal(tapped, []string{`["room"]`, `["volatile"]`}) {
		t.Errorf("taps saw %q", tapped)
	}
}

// Recovery has a sequencer of its own, and all that holds without it holds with it.
func TestWithRecoveryNothingElseChanges(t *testing.T) {
	recoverAll = true
	defer func() { recoverAll = false }()
	for name, test := range map[string]func(*testing.T){
		"targets": TestTargets, "members": TestMembershipModel, "one order": TestOneOrderForMembersHistoryAndTaps,
		"history and live": TestMembersWhoComeAndGoGetAllInBetween, "two loops": TestJoinsAndLeavesOnTwoLoops,
		"several rooms": TestTargetsOfSeveralRoomsKeepTheOrderOfEach, "presence": TestPresenceListsAndUpdatesAgree,
		"joins": TestJoinGetsExactlyWhatFollows, "on its way": TestJoinIsBehindWhatIsOnItsWay,
		"early events": TestEventsBeforeAcceptance, "straight line": TestSessionStraightLine,
		"questions": TestAskingARoom, "of a greenlet": TestAskingARoomFromAGreenlet, "missing": TestAnswersThatAreMissingAreNamed,
		"silent": TestAskingARoomEndsWhenTheSilentHaveLeft, "volatile questions": TestAVolatileQuestionThatIsMissedIsNotWaitedFor,
		"too many questions": TestOneWithTooManyOpenQuestionsIsMissing, "binary answers": TestQuestionsAndAnswersWithBinary,
		"two nodes": TestAskingClientsOfBothNodes, "silent nodes": TestASilentNodeIsNamed,
		"prefixes": TestPrefixRoomsModel, "order of prefixes": TestPrefixMembersGetEachRoomInOrder,
	} {
		t.Run(name, test)
	}
}

func TestWithoutRecoveryNothingIsAdded(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", stays)
	c := come(t, h, 0, "/", "some pid", "some offset")
	c.on(func(s *Session) {
		if s.RecoveryID() != "" || s.Recovered() {
			t.Error("a session to recover")
		}
		_ = errors.Join(s.Join("r"), s.Emit("direct"))
	})
	emit(t, h.To("r"), "room")
	c.wantGot(t, "accepted", `["direct"]`, `["room"]`)
	if n := h.Counters(); len(n) > 0 {
		t.Errorf("counted %v", n)
	}
}

func TestRecoveryDependsOnTheReason(t *testing.T) {
	for reason, want := range map[string]bool{
		"transport close": true, "transport error": true, "ping timeout": true, "forced close": true,
		"forced server close": true, "server shutting down": true,
		"client namespace disconnect": false, "server namespace disconnect": false, "parse error": false, "": false,
	} {
		h := recoveryHub(t, Options{Loops: 1}, Recovery{}, stays)
		a := come(t, h, 0, "/", "", "")
		a.on(func(s *Session) { _ = s.Emit("hello") })
		pid, offset := a.ticketOf()
		a.leave(reason)
		if b := come(t, h, 0, "/", pid, offset); b.session.Recovered() != want {
			t.Errorf("%q: recovered %v", reason, !want)
		} else if !want && (b.session.ID() == a.session.ID() || b.session.RecoveryID() == pid) {
			t.Errorf("%q: the new session has the old one's ids", reason)
		}
	}
	h := recoveryHub(t, Options{Loops: 1}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := a.ticketOf()
	a.on(func(s *Session) { _ = s.Disconnect("transport close, says the application") })
	if come(t, h, 0, "/", pid, offset).session.Recovered() {
		t.Error("recovered after the server has disconnected")
	}
}

// Whatever is wrong, the client gets a new session, and a counter says why.
func TestRecoveryFailsIntoANewSession(t *testing.T) {
	for name, c := range map[string]struct {
		recovery Recovery
		hub      Options
		missed   int    // messages of 1 000 bytes sent while the client is away
		pid      string // instead of the client's
		offset   func(string) string
		counter  string
	}{
		"it works":         {missed: 10, counter: "recovery_recovered"},
		"a forged pid":     {pid: "xxxxxxxxxxxxxxxxxxxx", counter: "recovery_unknown_session"},
		"no offset":        {offset: func(string) string { return "" }},
		"a text for one":   {offset: func(string) string { return "hello" }, counter: "recovery_bad_offset"},
		"the epoch alone":  {offset: func(o string) string { return o[:4] }, counter: "recovery_bad_offset"},
		"not a number":     {offset: func(o string) string { return o[:4] + "-1" }, counter: "recovery_bad_offset"},
		"another epoch":    {offset: func(o string) string { return "!" + o[1:] }, counter: "recovery_bad_offset"},
		"from the future":  {offset: func(o string) string { return o[:4] + "zz" }, counter: "recovery_bad_offset"},
		"half of one":      {offset: func(o string) string { return o[:4] + "1." }, counter: "recovery_bad_offset"},
		"no such one":      {offset: func(o string) string { return o[:4] + "1.0" }, counter: "recovery_bad_offset"},
		"zero":             {offset: func(o string) string { return o[:4] + "0" }, counter: "recovery_bad_offset"},
		"too large to be":  {offset: func(o string) string { return o[:4] + strings.Repeat("z", 99) }, counter: "recovery_bad_offset"},
		"too many missed":  {recovery: Recovery{MaxMessages: 9}, missed: 10, counter: "recovery_offset_lost"},
		"just few enough":  {recovery: Recovery{MaxMessages: 9}, missed: 9, counter: "recovery_recovered"},
		"too much missed":  {recovery: Recovery{MaxBytes: 10_000}, missed: 10, counter: "recovery_offset_lost"},
		"more than a send": {hub: Options{OutboxBytes: 10_000}, missed: 10, counter: "recovery_too_much"},
	} {
		t.Run(name, func(t *testing.T) {
			c.hub.Loops = 1
			h := recoveryHub(t, c.hub, c.recovery, stays)
			a := come(t, h, 0, "/", "", "")
			a.on(func(s *Session) { _ = s.Emit("hello") })
			pid, offset := a.ticketOf()
			if c.pid != "" {
				pid = c.pid
			}
			if c.offset != nil {
				offset = c.offset(offset)
			}
			a.leave("ping timeout")
			for range c.missed {
				emit(t, h.To(), "e", strings.Repeat("x", 1000))
			}
			b := come(t, h, 0, "/", pid, offset)
			ok := c.counter == "recovery_recovered"
			if b.session.Recovered() != ok || (b.session.ID() == a.session.ID()) != ok || b.session.RecoveryID() == "" {
				t.Errorf("recovered %v, id %s was %s", b.session.Recovered(), b.session.ID(), a.session.ID())
			}
			if n := len(b.events()); ok && n != c.missed+1 || !ok && n != 1 {
				t.Errorf("got %d", n)
			}
			if c.counter != "" && h.Counters()[c.counter] != 1 {
				t.Errorf("%s is not 1 in %v", c.counter, h.Counters())
			}
			if c.counter != "" && c.pid == "" { // nobody can come back to it any more
				rec := h.Of("/").recovery
				rec.mu.Lock()
				if n := rec.away.Len(); n != 0 || len(rec.tickets) != 1 {
					t.Errorf("%d sessions away, %d tickets", n, len(rec.tickets))
				}
				rec.mu.Unlock()
			}
			b.on(func(s *Session) { _ = s.Emit("works") })
			if got := b.events(); got[len(got)-1] != `["works"]` {
				t.Errorf("the session does not work: %q", got)
			}
		})
	}
}

func TestRecoveryForgetsTheLongestAway(t *testing.T) {
	h := recoveryHub(t, Options{Loops: 1}, Recovery{MaxSessions: 2}, stays)
	var pids, offsets []string
	for range 3 {
		c := come(t, h, 0, "/", "", "")
		c.on(func(s *Session) { _ = s.Emit("hello") })
		pid, offset := c.ticketOf()
		pids, offsets = append(pids, pid), append(offsets, offset)
		c.leave("transport close")
		settled(h)
	}
	for i, want := range []bool{false, true, true} {
		if c := come(t, h, 0, "/", pids[i], offsets[i]); c.session.Recovered() != want {
			t.Errorf("%d: recovered %v", i, !want)
		}
	}
	if n := h.Counters()["recovery_sessions_full"]; n != 1 {
		t.Errorf("counted %d", n)
	}
}

// pass lets time go by on a fake clock.
func pass(h *Hub, d time.Duration) {
	done := make(chan struct{})
	h.loops.All()[0].Go(func(g *coop.Greenlet) error {
		defer close(done)
		return g.Sleep(d)
	})
	<-done
}

func TestRecoveryEndsWithTime(t *testing.T) {
	for away, want := range map[time.Duration]bool{time.Minute: true, 119 * time.Second: true, 121 * time.Second: false} {
		h := recoveryHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()}, Recovery{}, stays)
		c := come(t, h, 0, "/", "", "")
		c.on(func(s *Session) { _ = s.Emit("hello") })
		pid, offset := c.ticketOf()
		c.leave("transport close")
		settled(h)
		pass(h, away)
		if c := come(t, h, 0, "/", pid, offset); c.session.Recovered() != want {
			t.Errorf("after %s: recovered %v", away, !want)
		}
		if n := h.Counters()["recovery_session_expired"]; (n == 0) != want {
			t.Errorf("after %s: counted %d", away, n)
		}
	}
}

// A client in a quiet room has an offset that is older than everything kept. It comes back all the same, also when
// it missed what was sent before the server noticed that it was away.
func TestRecoveryAfterALongSilence(t *testing.T) {
	for lost := range 3 {
		t.Run(fmt.Sprint(lost, " lost"), func(t *testing.T) {
			h := recoveryHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()}, Recovery{}, stays)
			c := come(t, h, 0, "/", "", "")
			c.on(func(s *Session) { _ = errors.Join(s.Join("quiet"), s.Emit("hello")) })
			pid, offset := c.ticketOf()
			noise := func() {
				for range 10 {
					pass(h, time.Minute)
					emit(t, h.To("busy"), "noise")
				}
			}
			noise()
			var want []string
			for i := range lost { // into a connection that is dead
				emit(t, h.To("quiet"), "lost", i)
				want = append(want, fmt.Sprintf(`["lost",%d]`, i))
				pass(h, 20*time.Second)
			}
			c.leave("ping timeout")
			pass(h, 100*time.Second)
			emit(t, h.To("quiet"), "missed")
			want = append(want, `["missed"]`)
			for range 2 { // the second time, the first answer was lost
				c = come(t, h, 0, "/", pid, offset)
				if !c.session.Recovered() {
					t.Fatalf("not recovered: %v", h.Counters())
				}
				c.wantGot(t, append(slices.Clone(want), "accepted")...)
				c.leave("transport close")
				pass(h, 30*time.Second)
			}
			// But one that is older still has missed what is gone.
			noise()
			if n := h.Counters()["recovery_message_expired"]; n == 0 {
				t.Error("nothing has expired")
			}
		})
	}
	h := recoveryHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()}, Recovery{}, stays)
	c := come(t, h, 0, "/", "", "")
	c.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := c.ticketOf()
	emit(t, h.To(), "this is what it misses")
	for range 5 {
		pass(h, time.Minute)
		emit(t, h.To("busy"), "noise")
	}
	c.leave("ping timeout")
	settled(h)
	if come(t, h, 0, "/", pid, offset).session.Recovered() {
		t.Error("recovered without what is gone")
	}
}

// What clients get does not depend on when they are cut off: not by rooms left or entered since, nor by
// who was left out.
func TestRecoveryKnowsWhenItWasInARoom(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	c := come(t, h, 0, "/", "", "")
	c.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := c.ticketOf()
	other := come(t, h, 1, "/", "", "")
	in := func(room string) { c.on(func(s *Session) { _ = s.Join(room) }) }
	out := func(room string) { c.on(func(s *Session) { s.Leave(room) }) }
	say := func(to Target, n int) { t.Helper(); emit(t, to, "n", n) }

	say(h.To("r"), 1) // before it was in
	in("r")
	say(h.To("r"), 2)
	settled(h)
	out("r")
	say(h.To("r"), 3)
	in("r")
	in("muted")
	say(h.To("r").Except("muted"), 4)
	settled(h)
	out("muted")
	say(h.To("r").Except("muted"), 5)
	c.on(func(s *Session) { _ = s.To("r").Emit("n", 6) })
	other.on(func(s *Session) { _ = s.To("r").Emit("n", 7) })
	c.on(func(s *Session) { _ = s.Emit("n", 8) })
	settled(h)
	live := c.events()[2:]
	c.leave("transport error")
	say(h.To("muted"), 9)
	back := come(t, h, 1, "/", pid, offset)
	if want := []string{`["n",2]`, `["n",5]`, `["n",7]`, `["n",8]`}; !slices.Equal(live, want) {
		t.Errorf("live: %q", live)
	}
	back.wantGot(t, append(live, "accepted")...)
	// Once more from the same offset, as if the answer had been lost.
	back.leave("transport error")
	say(h.To("r"), 10)
	back = come(t, h, 0, "/", pid, offset)
	back.wantGot(t, append(append(live, `["n",10]`), "accepted")...)
}

// A session that has left more rooms than are remembered is not recovered to before that.
func TestRecoveryWithManyRoomsLeft(t *testing.T) {
	for _, n := range []int{maxDepartures, maxDepartures + 1} {
		h := recoveryHub(t, Options{Loops: 1}, Recovery{}, stays)
		c := come(t, h, 0, "/", "", "")
		c.on(func(s *Session) { _ = s.Emit("hello") })
		pid, offset := c.ticketOf()
		for i := range n {
			room := fmt.Sprint(i)
			c.on(func(s *Session) { _ = s.Join(room) })
			emit(t, h.To(room), "e")
			c.on(func(s *Session) { s.Leave(room) })
		}
		c.leave("transport close")
		back := come(t, h, 0, "/", pid, offset)
		if want := n <= maxDepartures; back.session.Recovered() != want {
			t.Errorf("%d rooms: recovered %v", n, !want)
		}
	}
}

func TestTargetsReachSessionsThatAreAway(t *testing.T) {
	for name, c := range map[string]struct {
		do        func(*Hub, string)
		recovered bool
		want      []string
	}{
		"disconnect by id":   {do: func(h *Hub, id string) { h.To(id).Disconnect("kicked") }},
		"disconnect by room": {do: func(h *Hub, _ string) { h.To("x", "r").Disconnect("kicked") }},
		"disconnect all":     {do: func(h *Hub, _ string) { h.To().Disconnect("kicked") }},
		"disconnect others":  {do: func(h *Hub, _ string) { h.To("x").Disconnect("kicked") }, recovered: true, want: []string{`["to r"]`}},
		"except by id":       {do: func(h *Hub, id string) { h.To().Except(id).Disconnect("kicked") }, recovered: true, want: []string{`["to r"]`}},
		"except by room":     {do: func(h *Hub, _ string) { h.To().Except("r").Disconnect("kicked") }, recovered: true, want: []string{`["to r"]`}},
		"leave":              {do: func(h *Hub, id string) { h.To(id).Leave("r") }, recovered: true},
		"join":               {do: func(h *Hub, _ string) { _ = h.To("r").Join("new") }, recovered: true, want: []string{`["to r"]`, `["to new"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recoveryHub(t, Options{}, Recovery{}, stays)
			a := come(t, h, 0, "/", "", "")
			a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
			pid, offset := a.ticketOf()
			a.leave("transport close")
			settled(h)
			c.do(h, a.session.ID())
			settled(h)
			emit(t, h.To("r"), "to r")
			emit(t, h.To("new"), "to new")
			b := come(t, h, 1, "/", pid, offset)
			if b.session.Recovered() != c.recovered {
				t.Fatalf("recovered %v", b.session.Recovered())
			}
			b.wantGot(t, append(c.want, "accepted")...)
		})
	}
}

// A client may be back before the server knows that it was away.
func TestRecoveryOfASessionThatSeemsConnected(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	pid, offset := a.ticketOf()
	emit(t, h.To("r"), "into the void")
	b := come(t, h, 1, "/", pid, offset)
	b.wantGot(t, `["into the void"]`, "accepted")
	if !b.session.Recovered() || b.session.ID() != a.session.ID() {
		t.Error("not recovered")
	}
	a.wait(t, "the end of the old session", func() bool { return a.state == "left" })
	a.on(func(s *Session) {
		if s.Reason() != ReasonReplaced {
			t.Errorf("the old session ended with %q", s.Reason())
		}
	})
	if n := h.Counters()["recovery_replaced"]; n != 1 || h.SessionCount() != 1 {
		t.Errorf("replaced %d, %d sessions", n, h.SessionCount())
	}
}

// Two clients with one pid: the later one has the session, and the other is told that it is disconnected. None
// has it twice.
func TestTwoClientsWithOneSession(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := a.ticketOf()
	a.leave("transport close")
	var all []*comer
	for i := range 20 {
		c := &comer{fakeConn: newFakeConn(h, i%2), h: h}
		c.start("/", pid, offset)
		all = append(all, c)
	}
	recovered, live := 0, 0
	for _, c := range all {
		c.wait(t, "an answer", func() bool { return c.session != nil && c.state != "" })
		settled(h)
		c.on(func(s *Session) {
			if s.Recovered() {
				recovered++
				if s.Connected() {
					live++
				}
			}
		})
	}
	if recovered == 0 || live != 1 {
		t.Errorf("%d recovered, %d have the session", recovered, live)
	}
}

// The earlier session's handler is over when the next one's begins: what it has left in Data is not shared.
func TestRecoveryWaitsForTheEarlierHandler(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, func(s *Session) error {
		if !s.Recovered() {
			s.Data = new(int)
		}
		n := s.Data.(*int)
		for range s.Events() {
			*n++
		}
		for range 100 {
			if err := s.Greenlet().Yield(); err != nil {
				return err
			}
			*n++ // a race, if anybody else had it
		}
		return nil
	})
	c := come(t, h, 0, "/", "", "")
	c.on(func(s *Session) { _ = s.Emit("hello") })
	for range 5 {
		c.emit(t, NoAck, "e")
		c = c.back(t)
		if !c.session.Recovered() {
			t.Fatal(h.Counters())
		}
	}
	var n int
	c.on(func(s *Session) { n = *s.Data.(*int) })
	if n != 505 {
		t.Errorf("counted to %d", n)
	}
}

func TestRecoveryGivesUpOnAHandlerThatDoesNotEnd(t *testing.T) {
	h := recoveryHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()}, Recovery{}, func(s *Session) error {
		for range s.Events() {
		}
		var never coop.Event
		return never.Wait(s.Greenlet())
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	b := a.back(t)
	if b.session.Recovered() || h.Counters()["recovery_too_slow"] != 1 {
		t.Errorf("recovered %v, counted %v", b.session.Recovered(), h.Counters())
	}
	pid, _ := a.ticketOf()
	rec := h.Of("/").recovery
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if k := rec.tickets[pid]; k == nil || len(k.waiting) > 0 {
		t.Errorf("the ticket after nobody waits for it any more: %+v", k)
	}
}

// A client that leaves while it waits for its earlier session has not got it.
func TestRecoveryOfAClientThatLeavesMeanwhile(t *testing.T) {
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	h := recoveryHub(t, Options{}, Recovery{}, func(s *Session) error {
		for range s.Events() {
		}
		if s.Recovered() {
			return nil
		}
		_, err := coop.Await(s.Greenlet(), func() (int, error) { <-held; return 0, nil })
		return err
	})
	t.Cleanup(release) // before the hub closes, which waits for the handler
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := a.ticketOf()
	a.leave("transport close")
	b := &comer{fakeConn: newFakeConn(h, 1), h: h}
	b.start("/", pid, offset)
	settled(h)
	b.leave("transport close")
	release()
	deadline := time.Now().Add(10 * time.Second)
	for h.SessionCount() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("sessions are left")
		}
		settled(h)
	}
	if c := come(t, h, 0, "/", pid, offset); !c.session.Recovered() {
		t.Errorf("not recovered after that: %v", h.Counters())
	}
}

func TestRecoveryAndMiddlewares(t *testing.T) {
	for _, run := range []bool{false, true} {
		h := recoveryHub(t, Options{}, Recovery{RunMiddlewares: run}, stays)
		var refuse bool
		var saw []string
		h.Of("/").Use(func(s *Session) error {
			saw = append(saw, fmt.Sprint(s.Recovered(), s.Data))
			if refuse {
				return errors.New("not now")
			}
			return nil
		})
		a := come(t, h, 0, "/", "", "")
		a.on(func(s *Session) { s.Data = 7; _ = errors.Join(s.Join("r"), s.Emit("hello")) })
		pid, offset := a.ticketOf()
		a.leave("transport close")
		emit(t, h.To("r"), "missed")
		if refuse = run; run {
			c := come(t, h, 1, "/", pid, offset)
			if c.state != "refused" {
				t.Error(c.state)
			}
			settled(h)
			refuse = false
		}
		b := come(t, h, 1, "/", pid, offset)
		b.wantGot(t, `["missed"]`, "accepted")
		want := []string{"false<nil>"}
		if run {
			want = []string{"false<nil>", "true7", "true7"}
		}
		for i := range saw {
			saw[i] = strings.ReplaceAll(saw[i], " ", "")
		}
		if !slices.Equal(saw, want) {
			t.Errorf("run %v: middlewares saw %q", run, saw)
		}
	}
}

// What a middleware sends to a client that is back comes with what it has missed, and not once more.
func TestEmitDuringTheMiddlewares(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{RunMiddlewares: true}, stays)
	h.Of("/").Use(func(s *Session) error {
		if !s.Recovered() {
			return nil
		}
		return errors.Join(h.To(s.ID()).Emit("to you"), h.To("r").Emit("to the room"), h.To("r", s.ID()).Emit("to both"))
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	a.back(t).wantGot(t, `["to you"]`, `["to the room"]`, `["to both"]`, "accepted")
}

// Who is disconnected while middlewares decide on its return does not come back.
func TestDisconnectDuringTheMiddlewares(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{RunMiddlewares: true}, stays)
	h.Of("/").Use(func(s *Session) error {
		if s.Recovered() {
			h.To("r").Disconnect("kicked")
			return s.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	b := a.back(t)
	if b.state != "refused" || !errors.Is(b.err, errLost) {
		t.Errorf("%s: %v", b.state, b.err)
	}
}

// What a handler answers to a client that has just been lost is for the client all the same.
func TestEmitToAClientThatIsAway(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, func(s *Session) error {
		for range s.Events() {
		}
		if err := s.Emit("late"); !s.Connected() && !errors.Is(err, ErrGone) {
			t.Errorf("emitting to a client that is away: %v", err)
		}
		return nil
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	a.back(t).wantGot(t, `["late"]`, "accepted")
}

// The ids of questions go on: a late answer must not be taken for that to a new question.
func TestAskAfterRecovery(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, func(s *Session) error {
		_, err := Ask[int](s, 10*time.Second, "q")
		if !errors.Is(err, ErrGone) && !errors.Is(err, coop.ErrKilled) {
			t.Errorf("asked: %v", err)
		}
		return nil
	})
	var ids []int64
	for c := (*comer)(nil); len(ids) < 3; {
		if c == nil {
			c = come(t, h, 0, "/", "", "")
			c.on(func(s *Session) { _ = s.Emit("hello") })
		} else {
			c = c.back(t)
		}
		c.on(func(s *Session) { ids = append(ids, slices.Collect(maps.Keys(s.acks.pending))...) })
	}
	if !slices.Equal(ids, []int64{0, 1, 2}) {
		t.Errorf("ids %v", ids)
	}
}

func TestRelayKnowsWhoIsBack(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, Relay(RelayOptions{}))
	a := come(t, h, 0, "/", "", "")
	a.call(t, 1, "join", "lobby")
	emit(t, h.To("lobby"), "e")
	settled(h)
	b := a.back(t)
	got := answerOf(t, b.call(t, 1, "presence", "lobby"))
	if got["count"] != 1.0 {
		t.Errorf("present: %v", got)
	}
}

// A listener that emits to others while a message of theirs is under way does not put their places in disorder: who
// is cut off behind what the listener said gets nothing twice.
func TestEmitInTheMiddleOfADelivery(t *testing.T) {
	h := recoveryHub(t, Options{Loops: 1}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	b := come(t, h, 0, "/", "", "")
	for _, c := range []*comer{a, b} {
		other := map[*comer]*comer{a: b, b: a}[c]
		c.on(func(s *Session) {
			s.OnAnyOutgoing(func(m *Message) {
				if m.Event == "room" {
					_ = other.session.Emit("direct")
				}
			})
		})
	}
	emit(t, h.To(), "room")
	emit(t, h.To(), "behind")
	settled(h)
	for _, c := range []*comer{a, b} {
		for cut, e := range c.events() {
			if e == "accepted" || c.offsets[cut] == "" {
				continue
			}
			want := c.events()[cut+1:]
			pid, _ := c.ticketOf()
			c.leave("transport close")
			d := come(t, h, 0, "/", pid, c.offsets[cut])
			if got := d.events(); !slices.Equal(got, append(slices.Clone(want), "accepted")) {
				t.Errorf("cut behind %s: got %q, want %q", e, got, want)
			}
			d.leave("transport close")
			settled(h)
		}
	}
}
