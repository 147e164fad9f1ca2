//go:build !linux || coop_portable

package engineio

// portable says that streams are served by goroutines, which keep buffers.
const portable = true
