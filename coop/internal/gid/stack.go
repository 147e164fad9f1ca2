package gid

import "runtime"

// fromStack reads the number from "goroutine 123 [running]:".
func fromStack() uintptr {
	var b [32]byte
	n := uintptr(0)
	for _, c := range b[len("goroutine "):runtime.Stack(b[:], false)] {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + uintptr(c-'0')
	}
	return n
}
