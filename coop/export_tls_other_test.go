//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd) || coop_portable

package coop

func OnDescriptor(*Stream) bool      { return false }
func TLSBacklog(*Stream) (int, bool) { return 0, false }
