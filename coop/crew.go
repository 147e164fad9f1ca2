package coop

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// crew tells whether a goroutine belongs to a loop: it runs the loop, or is one of its coroutines. Those
// are known by who made them, which the runtime notes anyway, so that making one costs nothing more.
type crew struct {
	sync.Mutex
	now *runner // who runs the loop; nil while nobody does
	all []*runner
}

// runner is a goroutine that runs a loop, or has run it and left coroutines: runtime.Goexit in a callback
// has another one take over.
type runner struct {
	id    uint64
	coros int // how many of those that it made have not ended
}

// takeOver makes the calling goroutine the one that runs the loop.
func (c *crew) takeOver() {
	id, _ := identity()
	c.Lock()
	defer c.Unlock()
	c.now = &runner{id: id}
	c.all = append(c.all, c.now)
}

// leave is the end of a takeOver.
func (c *crew) leave() {
	c.Lock()
	defer c.Unlock()
	r := c.now
	c.now = nil
	c.forget(r)
}

// ended says that a coroutine of r's is over.
func (c *crew) ended(r *runner) {
	if r.coros--; r.coros == 0 && r != c.now {
		c.Lock()
		defer c.Unlock()
		c.forget(r)
	}
}

func (c *crew) forget(r *runner) {
	if r != nil && r != c.now && r.coros == 0 {
		c.all = slices.DeleteFunc(c.all, func(other *runner) bool { return other == r })
	}
}

// has reports whether a goroutine belongs to the loop, by its own number and its maker's.
func (c *crew) has(id, maker uint64) bool {
	c.Lock()
	defer c.Unlock()
	return c.now != nil && c.now.id == id ||
		maker != 0 && slices.ContainsFunc(c.all, func(r *runner) bool { return r.id == maker })
}

// identity returns the number of the calling goroutine and, if it is a coroutine, of the goroutine that
// made it; otherwise zero. It takes them from what the runtime prints, for want of another way, and is
// slow: some microseconds.
func identity() (id, maker uint64) {
	stack := make([]byte, 4<<10)
	n := runtime.Stack(stack, false)
	for n == len(stack) && n < 1<<20 {
		stack = make([]byte, 4*n)
		n = runtime.Stack(stack, false)
	}
	stack = stack[:n]
	id = number(bytes.TrimPrefix(stack, []byte("goroutine ")))
	if i := bytes.LastIndex(stack, []byte("created by iter.Pull")); i >= 0 {
		_, rest, _ := bytes.Cut(stack[i:], []byte(" in goroutine "))
		maker = number(rest)
	}
	return id, maker
}

// number reads the digits at the beginning of b.
func number(b []byte) uint64 {
	end := bytes.IndexFunc(b, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		end = len(b)
	}
	n, _ := strconv.ParseUint(string(b[:end]), 10, 64)
	return n
}
