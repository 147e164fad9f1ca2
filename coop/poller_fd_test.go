//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop_test

// onDescriptors says that streams are served by the loop itself, so that their turns can be counted in ticks.
const onDescriptors = true
