package coop

import (
	"bytes"
	"fmt"
	"runtime"
)

// maxStacks bounds the text of all goroutines' stacks.
const maxStacks = 64 << 20

// allStacks is what the runtime prints of all goroutines, coroutines among them. It stops the world.
func allStacks() []byte {
	for size := 256 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxStacks {
			return buf[:n]
		}
	}
}

// A stackMark is an argument by which a stack is found in what the runtime prints: an array is passed
// in memory, where it stays, and not in registers, which the runtime can only guess at.
type stackMark [2]uint64

const (
	greenletMark = 0x9e3779b97f4a7c15 // no number that a stack is likely to hold by chance
	loopMark     = 0xc2b2ae3d27d4eb4f
)

// stackOf finds a greenlet's stack among all, "" if it has none.
func stackOf(stacks []byte, g *Greenlet) string {
	return stackWith(stacks, stackMark{g.id, greenletMark})
}

// stackOfLoop finds the stack of a loop's own goroutine.
func stackOfLoop(stacks []byte, l *Loop) string {
	return stackWith(stacks, stackMark{l.serial, loopMark})
}

func stackWith(stacks []byte, mark stackMark) string {
	printed := fmt.Appendf(nil, "{%#x, %#x}", mark[0], mark[1])
	for s := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(s, printed) {
			return string(s)
		}
	}
	return ""
}
