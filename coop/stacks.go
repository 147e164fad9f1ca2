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

// stackOf finds a greenlet's stack among all: the runtime prints a method's receiver, so that the
// root frame names the greenlet. "" if it has none, or the compiler kept the receiver elsewhere.
func stackOf(stacks []byte, g *Greenlet) string {
	return stackWith(stacks, fmt.Sprintf("coop.(*Greenlet).main(%p", g))
}

// stackOfLoop finds the stack of a loop's own goroutine.
func stackOfLoop(stacks []byte, l *Loop) string {
	return stackWith(stacks, fmt.Sprintf("coop.(*Loop).tick(%p", l))
}

func stackWith(stacks []byte, frame string) string {
	for s := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(s, []byte(frame)) {
			return string(s)
		}
	}
	return ""
}
