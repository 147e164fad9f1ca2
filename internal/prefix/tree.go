// Package prefix finds, of many prefixes, those that a text starts with.
package prefix

import (
	"bytes"
	"iter"
	"strings"
)

// Tree maps prefixes to values: a radix tree, in which finding all prefixes of a text costs a step for each place
// where one of those found, or others that begin like it, ends or parts from another. It does not depend on
// how many there are. The zero value is empty. It has no lock.
type Tree[T any] struct {
	root node[T]
	n    int
}

// node is a place in the tree. Its label leads to it from its parent. Nodes other than the root have a value, or
// two children at least.
type node[T any] struct {
	label  string
	value  *T
	firsts []byte // of the children's labels
	kids   []*node[T]
}

// Len is the number of prefixes.
func (t *Tree[T]) Len() int { return t.n }

// Get returns the value of a prefix, or nil.
func (t *Tree[T]) Get(prefix string) *T {
	n := &t.root
	for len(prefix) > 0 {
		i := bytes.IndexByte(n.firsts, prefix[0])
		if i < 0 {
			return nil
		}
		n = n.kids[i]
		rest, ok := strings.CutPrefix(prefix, n.label)
		if !ok {
			return nil
		}
		prefix = rest
	}
	return n.value
}

// Add returns the value of a prefix, a zero one if it is new.
func (t *Tree[T]) Add(prefix string) *T {
	n := &t.root
	for len(prefix) > 0 {
		i := bytes.IndexByte(n.firsts, prefix[0])
		if i < 0 {
			leaf := &node[T]{label: prefix}
			n.firsts, n.kids = append(n.firsts, prefix[0]), append(n.kids, leaf)
			n, prefix = leaf, ""
			break
		}
		kid := n.kids[i]
		same := common(kid.label, prefix)
		if same < len(kid.label) {
			between := &node[T]{label: kid.label[:same], firsts: []byte{kid.label[same]}, kids: []*node[T]{kid}}
			kid.label = kid.label[same:]
			n.kids[i], kid = between, between
		}
		n, prefix = kid, prefix[same:]
	}
	if n.value == nil {
		n.value = new(T)
		t.n++
	}
	return n.value
}

// common is the length of what a and b begin with alike.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Remove forgets a prefix, if it is there.
func (t *Tree[T]) Remove(prefix string) {
	var parent *node[T]
	n, at := &t.root, 0
	for len(prefix) > 0 {
		i := bytes.IndexByte(n.firsts, prefix[0])
		if i < 0 {
			return
		}
		rest, ok := strings.CutPrefix(prefix, n.kids[i].label)
		if !ok {
			return
		}
		parent, n, at, prefix = n, n.kids[i], i, rest
	}
	if n.value == nil {
		return
	}
	n.value = nil
	t.n--
	if parent == nil {
		return
	}
	if len(n.kids) == 0 {
		parent.cut(at)
		n = parent
	}
	if n != &t.root && n.value == nil && len(n.kids) == 1 {
		n.join()
	}
}

// cut removes a child.
func (n *node[T]) cut(i int) {
	last := len(n.kids) - 1
	n.firsts[i], n.kids[i] = n.firsts[last], n.kids[last]
	n.kids[last] = nil
	n.firsts, n.kids = n.firsts[:last], n.kids[:last]
}

// join makes one node of n and its only child.
func (n *node[T]) join() {
	kid := n.kids[0]
	kid.label = n.label + kid.label
	*n = *kid
}

// Matches finds the prefixes of text. The tree must not change meanwhile.
func (t *Tree[T]) Matches(text string) Matches[T] { return Matches[T]{&t.root, text} }

// Matches is on its way along a text.
type Matches[T any] struct {
	next *node[T]
	rest string
}

// Next returns the value of the next prefix, the shortest first, or nil.
func (m *Matches[T]) Next() *T {
	for m.next != nil {
		n := m.next
		m.next = nil
		if len(m.rest) > 0 {
			if i := bytes.IndexByte(n.firsts, m.rest[0]); i >= 0 {
				if kid := n.kids[i]; strings.HasPrefix(m.rest, kid.label) {
					m.next, m.rest = kid, m.rest[len(kid.label):]
				}
			}
		}
		if n.value != nil {
			return n.value
		}
	}
	return nil
}

// Prefixes lists the prefixes and their values, in no order. The tree must not change meanwhile.
func (t *Tree[T]) Prefixes() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) { t.root.each("", yield) }
}

func (n *node[T]) each(before string, yield func(string, *T) bool) bool {
	before += n.label
	if n.value != nil && !yield(before, n.value) {
		return false
	}
	for _, kid := range n.kids {
		if !kid.each(before, yield) {
			return false
		}
	}
	return true
}

// All lists the values, in no order.
func (t *Tree[T]) All() []*T { return t.root.all(make([]*T, 0, t.n)) }

func (n *node[T]) all(list []*T) []*T {
	if n.value != nil {
		list = append(list, n.value)
	}
	for _, kid := range n.kids {
		list = kid.all(list)
	}
	return list
}
