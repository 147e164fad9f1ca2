//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd) || coop_portable

package coop_test

const onDescriptors = false
