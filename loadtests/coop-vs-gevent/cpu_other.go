//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime is the time, for want of better: let nothing else run.
func cpuTime() time.Duration { return time.Since(started) }
