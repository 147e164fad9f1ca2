//go:build !amd64 && !arm64

package gid

// Me is the identity of the calling goroutine among those that are alive. Some microseconds.
func Me() uintptr { return fromStack() }
