//go:build unix

package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// fakeNode is what an adapter joins, without a hub.
type fakeNode struct {
	hub.Node
	name string
	w    *witness
}

func (n fakeNode) Name() string         { return n.name }
func (n fakeNode) Count(reason string)  { n.w.count(reason) }
func (n fakeNode) Logger() *slog.Logger { return testLog(n.w) }

// idleDriver is an adapter that does nothing.
type idleDriver struct{ driver }

func (idleDriver) join(*Adapter, hub.Node) error { return nil }
func (idleDriver) message(string, []byte)        {}
func (idleDriver) close() error                  { return nil }

func joined(t *testing.T, o Options, name string) (*Adapter, *witness) {
	t.Helper()
	topo, err := newTopology(o)
	if err != nil {
		t.Fatal(err)
	}
	a, w := &Adapter{opts: o, topo: topo, driver: idleDriver{}}, new(witness)
	if err := a.Join(fakeNode{name: name, w: w}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, w
}

// Of two nodes with one name the younger says so and is not ready, until the other has left. One that is started again
// is none.
func TestTwoNodesWithOneName(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), Prefix: "socket.io", helloEvery: 500 * time.Millisecond}
	a, wa := joined(t, o, "one")
	other, wo := joined(t, o, "another")
	within(t, "ready", func() bool { return a.Ready() == nil && other.Ready() == nil })
	b, wb := joined(t, o, "one")
	within(t, "noticed", func() bool { return errors.Is(b.Ready(), errTwin) && wa.counted(reasonTwin) > 0 })
	if err := a.Ready(); err != nil {
		t.Errorf("the older one: %v", err)
	}
	if wb.counted(reasonTwin) == 0 || wo.counted(reasonTwin) != 0 {
		t.Errorf("counted: %v, %v", wb.counts, wo.counts)
	}
	if !strings.Contains(strings.Join(wb.logged(), ""), "--node") {
		t.Errorf("logged: %q", wb.logged())
	}
	_ = a.Close()
	within(t, "ready", func() bool { return b.Ready() == nil })
	_ = b.Close()
	c, wc := joined(t, o, "one")
	within(t, "ready", func() bool { return c.Ready() == nil })
	if wc.counted(reasonTwin) != 0 {
		t.Error("one that has left was heard")
	}
}

// Where the ACL forbids the channel, nothing is noticed, and the node is ready all the same.
func TestTwinsAreOptional(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	r.Do("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "resetchannels", "&socket.io#*")
	a, w := joined(t, Options{URL: r.URL(), User: "ann", Password: "pw", Prefix: "socket.io", helloEvery: 50 * time.Millisecond}, "one")
	within(t, "told", func() bool { return strings.Contains(strings.Join(w.logged(), ""), "not noticed") })
	within(t, "ready", func() bool { return a.Ready() == nil })
}

func TestParseHello(t *testing.T) {
	h := hello{"0123456789abcdef", 12345}
	if got, ok := parseHello(h.append(nil)); !ok || got != h {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, s := range []string{"", "1", "1 x 5", "2 0123456789abcdef 5", "1 0123456789abcdef x", "1 0123456789abcdef", strings.Repeat("1 ", 1000)} {
		if _, ok := parseHello([]byte(s)); ok {
			t.Errorf("%q was taken", s)
		}
	}
}

// However many have one name, each is answered once: they do not go on telling each other. Who makes up names without end
// is not remembered.
func TestManyTwins(t *testing.T) {
	w := new(witness)
	said := 0
	x := newTwins("p", "one", time.Second, testLog(w), w.count)
	x.say = func([]byte) { said++ }
	other := func(i int) []byte { return hello{fmt.Sprintf("%016d", i), x.me.began + 1}.append(nil) }
	for range 100 {
		for i := range 3 {
			x.message(other(i))
		}
	}
	if said != 3 || w.counted(reasonTwin) != 3 || len(w.logged()) != 1 || x.err() != nil {
		t.Errorf("said hello %d times, counted %d, logged %q, %v", said, w.counted(reasonTwin), w.logged(), x.err())
	}
	x.message(hello{"0123456789abcdef", 1}.append(nil))
	if x.err() == nil || len(w.logged()) != 2 {
		t.Errorf("%v, logged %q", x.err(), w.logged())
	}
	for i := range 1000 {
		x.message(other(i))
	}
	if said != maxTwins || len(x.others) != maxTwins || len(w.logged()) != 2 {
		t.Errorf("said hello %d times to %d, logged %q", said, len(x.others), w.logged())
	}
	x.look(time.Now().Add(time.Minute))
	if x.err() != nil || len(x.others) != 0 {
		t.Errorf("%v, %d are there", x.err(), len(x.others))
	}
}
