package coop

import (
	"testing"

	"greenroom/coop/internal/poll"
)

// A late event of a closed descriptor must not reach the stream that has its slot now.
func TestEventOfAnEarlierOwnerIsDropped(t *testing.T) {
	l, err := NewLoop(LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first, second := &Stream{loop: l}, &Stream{loop: l}
	old := l.table.add(first)
	l.table.remove(first)
	current := l.table.add(second)
	if current.Slot != old.Slot || current.Gen == old.Gen {
		t.Fatalf("tokens %v and %v", old, current)
	}
	if first.slot != -1 {
		t.Errorf("the closed stream keeps slot %d", first.slot)
	}

	everything := poll.Event{Readable: true, Writable: true, HalfOver: true, Over: true}
	everything.Token = old
	l.onEvents([]poll.Event{everything})
	if second.flags != 0 || first.flags != 0 || len(l.again) != 0 {
		t.Errorf("flags %b and %b, %d to serve", first.flags, second.flags, len(l.again))
	}
	everything.Token = current
	l.onEvents([]poll.Event{everything})
	if second.flags != streamUnread|streamArrived|streamEnding|streamBroken|streamQueued || len(l.again) != 1 {
		t.Errorf("flags %b, %d to serve", second.flags, len(l.again))
	}
	l.again = nil
	l.table.remove(second)
	if n := l.table.open; n != 0 {
		t.Errorf("%d open", n)
	}
}

func TestStreamTableUsesEverySlotAgain(t *testing.T) {
	var table streamTable
	streams := make([]*Stream, 10)
	seen := map[poll.Token]bool{}
	for range 5 {
		for i := range streams {
			streams[i] = new(Stream)
			token := table.add(streams[i])
			if seen[token] {
				t.Fatalf("token %v came twice", token)
			}
			seen[token] = true
			if table.get(token) != streams[i] {
				t.Fatalf("token %v finds another", token)
			}
		}
		for _, s := range streams {
			table.remove(s)
		}
	}
	for token := range seen {
		if table.get(token) != nil {
			t.Errorf("token %v finds a stream that is gone", token)
		}
	}
	if len(table.slots) != len(streams) {
		t.Errorf("%d slots for %d streams at once", len(table.slots), len(streams))
	}
}
