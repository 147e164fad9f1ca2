package prefix

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// check holds the tree against its own rules.
func (n *node[T]) check(t interface{ Errorf(string, ...any) }, root bool) (values int) {
	if !root && n.value == nil && len(n.kids) < 2 {
		t.Errorf("node %q has neither a value nor two children", n.label)
	}
	if len(n.firsts) != len(n.kids) {
		t.Errorf("node %q has %d children and %d first bytes", n.label, len(n.kids), len(n.firsts))
	}
	for i, kid := range n.kids {
		if kid.label == "" || kid.label[0] != n.firsts[i] || slices.Index(n.firsts, n.firsts[i]) != i {
			t.Errorf("child %q stands under %q", kid.label, n.firsts)
		}
		values += kid.check(t, false)
	}
	if n.value != nil {
		values++
	}
	return values
}

func matches(tree *Tree[string], text string) (found []string) {
	m := tree.Matches(text)
	for v := m.Next(); v != nil; v = m.Next() {
		found = append(found, *v)
	}
	return found
}

func TestMatchesAreTheShortestFirst(t *testing.T) {
	var tree Tree[string]
	for _, p := range []string{"rooms", "", "room1", "r", "room", "x", "größe"} {
		*tree.Add(p) = p
	}
	for text, want := range map[string][]string{
		"room1": {"", "r", "room", "room1"}, "room10": {"", "r", "room", "room1"}, "roo": {"", "r"}, "": {""}, "größer": {"", "größe"},
		"gr": {""}, "xx": {"", "x"}, "Room": {""},
	} {
		if got := matches(&tree, text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestAgainstAModel: long random runs against a map.
func TestAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var tree Tree[string]
		model := make(map[string]bool)
		word := rapid.StringMatching(`[ab]{0,6}|[a-e]{1,3}|\xc3[\xa4-\xa6]`)
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			p := word.Draw(rt, "prefix")
			if rapid.Bool().Draw(rt, "add") {
				v := tree.Add(p)
				if (*v == p) != model[p] && p != "" {
					rt.Fatalf("%q: %q was there", p, *v)
				}
				*v, model[p] = p, true
			} else {
				tree.Remove(p)
				delete(model, p)
			}
			if n := tree.root.check(rt, true); n != len(model) || tree.Len() != n {
				rt.Fatalf("%d values, said to be %d, want %d", n, tree.Len(), len(model))
			}
			text := word.Draw(rt, "text") + word.Draw(rt, "more")
			var want []string
			for _, p := range slices.Sorted(maps.Keys(model)) {
				if strings.HasPrefix(text, p) {
					want = append(want, p)
				}
			}
			if got := matches(&tree, text); !slices.Equal(got, want) {
				rt.Fatalf("%q: %q, want %q", text, got, want)
			}
			if got := tree.Get(text); (got != nil) != model[text] || got != nil && *got != text {
				rt.Fatalf("get %q: %v", text, got)
			}
		}
		for p := range model {
			tree.Remove(p)
		}
		if tree.Len() != 0 || len(tree.root.kids) != 0 {
			rt.Fatalf("left: %d, %d children", tree.Len(), len(tree.root.kids))
		}
	})
}

// byLength is the other way to do it: a look-up for each length in use.
type byLength struct {
	entries map[string]*string
	lengths [256]int
}

func (b *byLength) add(p string) {
	b.entries[p] = &p
	b.lengths[len(p)]++
}

func (b *byLength) count(text string) (n int) {
	for i := 0; i <= len(text) && i < len(b.lengths); i++ {
		if b.lengths[i] > 0 && b.entries[text[:i]] != nil {
			n++
		}
	}
	return n
}

// BenchmarkMatches compares the two: few and many prefixes of one length, and all lengths in use, for a text that
// begins like them and one that does not.
func BenchmarkMatches(b *testing.B) {
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		name, text string
		prefixes   func(add func(string))
	}{
		{"10 topics", "prices.7.eur", func(add func(string)) {
			for i := range 10 {
				add(fmt.Sprintf("prices.%d.eur", i))
			}
		}},
		{"10000 topics", "prices.7777.eur", func(add func(string)) {
			for i := range 10_000 {
				add(fmt.Sprintf("prices.%d.eur", i))
			}
		}},
		{"255 lengths, all match", long, func(add func(string)) {
			for i := range 256 {
				add(long[:i])
			}
		}},
		{"255 lengths, none matches", "y" + long[1:], func(add func(string)) {
			for i := 1; i < 256; i++ {
				add(long[:i])
			}
		}},
	} {
		var tree Tree[string]
		hash := &byLength{entries: make(map[string]*string)}
		c.prefixes(func(p string) { *tree.Add(p) = p })
		c.prefixes(hash.add)
		b.Run(c.name+"/tree", func(b *testing.B) {
			for b.Loop() {
				m := tree.Matches(c.text)
				for v := m.Next(); v != nil; v = m.Next() {
				}
			}
		})
		b.Run(c.name+"/hash by length", func(b *testing.B) {
			for b.Loop() {
				hash.count(c.text)
			}
		})
	}
}
