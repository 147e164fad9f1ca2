//go:build unix

package redis

import (
	"fmt"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// What was asked for first about a slot is done first, whichever server it is sent to in the end.
func TestASlotsCommandsKeepTheirOrder(t *testing.T) {
	const s, other = "s", "t"
	topo := newCluster(&goredis.ClusterOptions{Addrs: []string{"a"}}, func() {})
	defer topo.close()
	l := &link{opts: linkOptions{}.withDefaults(), topo: topo, ctx: t.Context(), held: make(map[int]*writer), writers: make(map[string]*writer), look: make(chan struct{}, 1)}
	for _, addr := range []string{"a", "b"} {
		l.writers[addr] = newWriter(l, addr) // that does not run
	}
	a, b := l.writers["a"], l.writers["b"]
	topo.moved(slotOf(s), "a")
	topo.moved(slotOf(other), "a")
	ask := func(key string) { l.enqueue(command{cmd: goredis.NewCmd(t.Context()), key: key}) }
	waits := func(w *writer, want ...uint64) {
		t.Helper()
		var got []uint64
		for _, c := range w.queue.list[w.queue.head:] {
			got = append(got, c.seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v wait for %s, want %v", got, w.addr, want)
		}
	}
	refuse := func(batch []command, text string) {
		for i := range batch {
			batch[i].cmd.SetErr(serverError(text))
		}
	}
	ask(s) // 1
	batch := l.next(a, nil)
	ask(s)     // 2
	ask(other) // 3
	topo.moved(slotOf(s), "b")
	l.shift()
	ask(s) // 4: the first is under way still
	waits(a, 2, 3, 4)
	waits(b)
	refuse(batch, fmt.Sprint("MOVED ", slotOf(s), " b"))
	l.redirect(a, batch)
	l.landed(a)
	ask(s) // 5
	waits(a, 3)
	waits(b, 1, 2, 4, 5)

	// It comes back while keys are under way: one after the other, as long as it may be refused.
	batch = l.next(b, nil)
	ask(s) // 6
	refuse(batch, fmt.Sprint("ASK ", slotOf(s), " a"))
	l.ask(b, batch)
	l.landed(b)
	waits(a, 1, 2, 3, 4, 5)
	for _, first := range []uint64{1, 2} {
		batch = l.next(a, nil)
		if len(batch) == 0 || batch[0].seq != first || !batch[0].asking || len(batch) > 2 {
			t.Fatalf("%d commands, from %d", len(batch), batch[0].seq)
		}
		l.landed(a)
	}
	waits(a, 4, 5)
	waits(b, 6)

	// A writer whose server has nothing any more leaves nothing behind, also when the slot comes back.
	topo.moved(slotOf(s), "a")
	batch = l.next(b, nil)
	topo.moved(slotOf(s), "c")
	l.shift()
	ask(s) // 7
	waits(b, 7)
	b.gone = true
	topo.moved(slotOf(s), "b")
	delete(l.writers, "b")
	l.writers["b"] = newWriter(l, "b")
	l.landed(b)
	waits(b)
	waits(l.writers["b"], 7)
	if len(batch) != 1 || batch[0].seq != 6 {
		t.Errorf("%d commands under way", len(batch))
	}

	// While the link is being closed each writer sends what it has: others may have ended.
	l.closed = true
	topo.moved(slotOf(s), "c")
	l.shift()
	waits(l.writers["b"], 7)
}
