//go:build amd64 || arm64

package gid

// Me is the identity of the calling goroutine among those that are alive. About 1 ns.
func Me() uintptr
