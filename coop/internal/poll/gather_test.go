package poll

import (
	"slices"
	"testing"
)

// noted is one event of a kqueue's.
type noted struct {
	fd           int
	d            direction
	over, failed bool
}

func TestGather(t *testing.T) {
	a, b := Token{Slot: 4, Gen: 1}, Token{Slot: 0, Gen: 9}
	for name, c := range map[string]struct {
		fetches [][]noted
		want    [][]Event
	}{
		"each direction alone": {
			[][]noted{{{fd: 3}}, {{fd: 3, d: writing}}},
			[][]Event{{{Token: a, Readable: true}}, {{Token: a, Writable: true}}},
		},
		"both, with another between": {
			[][]noted{{{fd: 3}, {fd: 700}, {fd: 3, d: writing}, {fd: 700, d: writing}}},
			[][]Event{{{Token: a, Readable: true, Writable: true}, {Token: b, Readable: true, Writable: true}}},
		},
		"places of the last fetch": {
			[][]noted{{{fd: 3}, {fd: 700}}, {{fd: 700}, {fd: 3}}, {{fd: 3}, {fd: 700}}},
			[][]Event{
				{{Token: a, Readable: true}, {Token: b, Readable: true}},
				{{Token: b, Readable: true}, {Token: a, Readable: true}},
				{{Token: a, Readable: true}, {Token: b, Readable: true}},
			},
		},
		"the peer has ended": {
			[][]noted{{{fd: 3, over: true}}, {{fd: 3, d: writing}}},
			[][]Event{{{Token: a, Readable: true, HalfOver: true}}, {{Token: a, Writable: true}}},
		},
		"our own end is not the connection's": {
			[][]noted{{{fd: 3, d: writing, over: true}}, {{fd: 3}}},
			[][]Event{{{Token: a, Writable: true}}, {{Token: a, Readable: true}}},
		},
		"both ends, in one fetch": {
			[][]noted{{{fd: 3, over: true}, {fd: 3, d: writing, over: true}}},
			[][]Event{{{Token: a, Readable: true, Writable: true, HalfOver: true, Over: true}}},
		},
		"both ends, one after the other": {
			[][]noted{{{fd: 3, d: writing, over: true}}, {{fd: 3, over: true}}},
			[][]Event{{{Token: a, Writable: true}}, {{Token: a, Readable: true, HalfOver: true, Over: true}}},
		},
		"an error": {
			[][]noted{{{fd: 3, d: writing, over: true, failed: true}}},
			[][]Event{{{Token: a, Writable: true, Over: true}}},
		},
		"nothing": {[][]noted{{{fd: 3}}, {}}, [][]Event{{{Token: a, Readable: true}}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			var g gatherer
			g.add(3, a)
			g.add(700, b)
			for i, fetch := range c.fetches {
				g.begin()
				for _, n := range fetch {
					g.note(n.fd, n.d, n.over, n.failed)
				}
				if !slices.Equal(g.events, c.want[i]) {
					t.Errorf("fetch %d: %+v", i, g.events)
				}
			}
		})
	}
}

// What is known of a descriptor ends with it.
func TestGatherAfterAnAdd(t *testing.T) {
	var g gatherer
	g.add(0, Token{Slot: 1})
	g.note(0, reading, true, false)
	g.add(0, Token{Slot: 1, Gen: 1})
	g.begin()
	g.note(0, writing, true, false)
	if want := []Event{{Token: Token{Slot: 1, Gen: 1}, Writable: true}}; !slices.Equal(g.events, want) {
		t.Errorf("%+v", g.events)
	}
}
