package gid

import (
	"iter"
	"runtime"
	"testing"
)

// cases are both ways, whichever this machine uses.
var cases = map[string]func() uintptr{"Me": Me, "fromStack": fromStack}

func TestGoroutinesDiffer(t *testing.T) {
	const n = 100
	for name, me := range cases {
		t.Run(name, func(t *testing.T) {
			ids, leave := make(chan uintptr), make(chan struct{})
			defer close(leave)
			seen := map[uintptr]bool{me(): true}
			for range n {
				go func() { ids <- me(); <-leave }()
				id := <-ids
				if id == 0 || seen[id] {
					t.Fatalf("%#x comes again", id)
				}
				seen[id] = true
			}
		})
	}
}

func TestStaysTheSameWhenTheStackMoves(t *testing.T) {
	for name, me := range cases {
		t.Run(name, func(t *testing.T) {
			id := me()
			var deep func(n int) byte
			deep = func(n int) byte {
				var b [512]byte
				if n > 0 {
					b[n%512] = deep(n - 1)
				}
				return b[n%512]
			}
			deep(1000)
			runtime.Gosched()
			if again := me(); again != id {
				t.Errorf("%#x became %#x", id, again)
			}
		})
	}
}

func TestCoroutineHasItsOwn(t *testing.T) {
	for name, me := range cases {
		t.Run(name, func(t *testing.T) {
			next, stop := iter.Pull(func(yield func(uintptr) bool) {
				for yield(me()) {
				}
			})
			defer stop()
			first, _ := next()
			second, _ := next()
			if first != second || first == me() {
				t.Errorf("%#x, %#x in the coroutine, %#x outside", first, second, me())
			}
		})
	}
}

func BenchmarkMe(b *testing.B) {
	for b.Loop() {
		Me()
	}
}
