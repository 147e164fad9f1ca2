//go:build race

package coop_test

// raceEnabled: the race detector takes at most 8128 goroutines, coroutines included, and allocates.
const raceEnabled = true
