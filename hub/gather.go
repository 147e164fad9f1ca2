package hub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/coop"
)

// defaultWithin is how long is waited for answers when [Target.Within] was not used.
const defaultWithin = 5 * time.Second

// MissingError says whose answers are missing from a result, which holds the others.
type MissingError struct {
	Sessions []string // ids of the clients that did not answer, in order
	Nodes    []string // nodes that did not answer, or not for all of their clients, in order; [Unnamed] for each without a name
	Err      error    // why: [coop.ErrTimeout], or [ErrGone] when all of the clients missing have left
}

// Error names some of those that are missing.
func (e *MissingError) Error() string {
	var parts []string
	if n := len(e.Sessions); n > 0 {
		parts = append(parts, some(e.Sessions, plural(n, "session")))
	}
	named := slices.DeleteFunc(slices.Clone(e.Nodes), func(n string) bool { return n == Unnamed })
	if n := len(named); n > 0 {
		parts = append(parts, some(named, plural(n, "node")))
	}
	if n := len(e.Nodes) - len(named); n > 0 {
		parts = append(parts, plural(n, "node")+" without a name")
	}
	return fmt.Sprintf("no answer of %s: %v", strings.Join(parts, " and "), e.Err)
}

// Unwrap is Err.
func (e *MissingError) Unwrap() error { return e.Err }

// some is "2 nodes (a, b)", cut after a few names.
func some(names []string, count string) string {
	const most = 5
	if len(names) > most {
		return count + " (" + strings.Join(names[:most], ", ") + ", …)"
	}
	return count + " (" + strings.Join(names, ", ") + ")"
}

// gather collects what several clients, and nodes, have answered to one question. Any goroutine.
type gather struct {
	hub  *Hub
	over func()          // lets the one who waits go on; called with the lock held, perhaps more than once
	sink func(NodeReply) // is told of each step, with the lock held; for the questions of other nodes
	id   int64           // of the question to clients

	mu        sync.Mutex
	steps     int                   // that may add to waiting: loops that the question is on its way to, and the one who asks
	waiting   map[*Session]struct{} // clients that have not answered
	elsewhere bool                  // other nodes have not answered
	cancel    func() []string       // tells them apart, nil when none was asked
	asked     int
	closed    bool // what comes now comes too late

	answers  []Answer
	sessions []Snapshot
	rooms    []string
	missing  []string
	tooLate  bool // one of those missing may be there still
}

func newGather(h *Hub, over func()) *gather {
	return &gather{hub: h, over: over, steps: 1, waiting: make(map[*Session]struct{})}
}

// begin notes a step, which ends by a call of step.
func (g *gather) begin() {
	g.mu.Lock()
	g.steps++
	g.mu.Unlock()
}

// step ends one.
func (g *gather) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps--
	if g.steps == 0 && g.sink != nil {
		g.sink(NodeReply{Node: g.hub.opts.Node, Asked: g.asked})
	}
	g.checkLocked()
}

// onItsWay reports whether some loop has not been reached.
func (g *gather) onItsWay() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.steps > 0
}

// checkLocked lets the one who waits go on when nothing is missing.
func (g *gather) checkLocked() {
	if g.steps == 0 && len(g.waiting) == 0 && !g.elsewhere {
		g.over()
	}
}

// ask sends the question to one session, on its loop.
func (g *gather) ask(s *Session, f *Frame) {
	if !s.Connected() || !s.accepted {
		return
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.asked++
	g.waiting[s] = struct{}{}
	g.mu.Unlock()
	if err := s.expect(g.id, g); err != nil {
		g.answered(s, Payload{}, err)
		return
	}
	if !s.send(f) { // volatile, and it cannot take it
		delete(s.acks.pending, g.id)
		g.answered(s, Payload{}, coop.ErrTimeout)
	}
}

// answered implements [waiter].
func (g *gather) answered(s *Session, p Payload, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, waits := g.waiting[s]; !waits || g.closed {
		return
	}
	delete(g.waiting, s)
	if err != nil {
		g.missing = append(g.missing, s.id)
		g.tooLate = g.tooLate || !errors.Is(err, ErrGone)
	} else {
		g.answerLocked(Answer{Session: s.id, Payload: p})
	}
	g.checkLocked()
}

func (g *gather) answerLocked(a Answer) {
	if g.sink != nil {
		g.sink(NodeReply{Node: g.hub.opts.Node, Answers: []Answer{a}})
		return
	}
	g.answers = append(g.answers, a)
}

// reply takes a reply of another node.
func (g *gather) reply(r NodeReply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	for _, a := range r.Answers {
		a.Node = r.Node
		g.answers = append(g.answers, a)
	}
	for _, s := range r.Sessions {
		s.Node, s.hub = r.Node, g.hub
		g.sessions = append(g.sessions, s)
	}
	g.rooms = append(g.rooms, r.Rooms...)
	g.missing = append(g.missing, r.Missing...)
	g.tooLate = g.tooLate || len(r.Missing) > 0
	if r.Last {
		g.elsewhere = false
		g.checkLocked()
	}
}

// close ends the gathering, and returns what is missing.
func (g *gather) close() (sessions, nodes []string) {
	g.mu.Lock()
	g.closed = true
	cancel := g.cancel
	g.mu.Unlock()
	if cancel != nil {
		nodes = cancel()
	}
	g.mu.Lock()
	left := g.waiting
	for s := range left {
		g.missing = append(g.missing, s.id)
	}
	slices.Sort(g.missing)
	if g.steps > 0 {
		nodes = append(nodes, g.hub.opts.Node) // a loop of our own is busy
	}
	slices.Sort(nodes)
	g.tooLate = g.tooLate || len(left) > 0 || len(nodes) > 0
	g.mu.Unlock()

	byLoop := make(map[*coop.Loop][]*Session)
	for s := range left {
		byLoop[s.loop] = append(byLoop[s.loop], s)
	}
	for l, sessions := range byLoop {
		l.Post(func() {
			for _, s := range sessions {
				delete(s.acks.pending, g.id)
			}
		})
	}
	return g.missing, nodes
}

// wait is called by the one who asks, when the question is out.
func (g *gather) wait(m *meeting, d time.Duration) error {
	err := m.wait(d)
	sessions, nodes := g.close()
	switch {
	case err != nil && !errors.Is(err, coop.ErrTimeout):
		return err // whoever waits was killed
	case len(sessions) == 0 && len(nodes) == 0:
		return nil
	case err == nil && g.tooLate:
		err = coop.ErrTimeout
	case err == nil:
		err = ErrGone
	}
	return &MissingError{Sessions: sessions, Nodes: nodes, Err: err}
}

// Within sets how long [Target.Ask] and [Target.Sessions] wait for answers, default 5 s.
func (t Target) Within(d time.Duration) Target {
	t.within = d
	return t
}

func (t Target) patience() time.Duration {
	if t.within <= 0 {
		return defaultWithin
	}
	return t.within
}

// Ask emits an event to everyone addressed and waits until all clients have answered, or the time of [Target.Within]
// is over. It returns the answers that came, in the order in which they did, and a [*MissingError] when some are
// missing: of clients that left, were too slow, missed a volatile question or have too many unanswered ones. A
// greenlet parks meanwhile, a goroutine blocks; a callback on a loop can do neither and gets [coop.ErrNotRunning].
// Other errors are those of [Target.Emit], and what ended the greenlet.
func (t Target) Ask(event string, args ...any) ([]Answer, error) {
	if ReservedEvent(event) {
		return nil, ErrReservedEvent
	}
	p, err := EncodeArgs(event, args...)
	if err != nil {
		return nil, err
	}
	m, err := t.ns.hub.newMeeting()
	if err != nil {
		return nil, err
	}
	g := newGather(t.ns.hub, m.over)
	t.question(g, event, p)
	err = g.wait(m, t.patience())
	return g.answers, err
}

// question sends the question of g, here and elsewhere.
func (t Target) question(g *gather, event string, p Payload) {
	g.id = t.ns.nextAsk()
	t.ask = g
	m := t.message(event, p)
	m.Ack = g.id
	t.send(m)
	t.elsewhere(g, &NodeRequest{Op: OpAsk, Payload: p})
	g.step()
}
