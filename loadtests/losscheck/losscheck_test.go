//go:build unix

package losscheck

import (
	"testing"
	"time"
)

func small(adapter string, promise Promise, args ...string) setup {
	return setup{
		adapter: adapter, promise: promise, args: args, clients: 200, publishers: 6, askers: 3, every: 150 * time.Millisecond,
	}
}

// With the streams adapter nothing is lost, doubled or misordered, whatever fails.
func TestStreams(t *testing.T) {
	faults := []Fault{Kill, Roll, Freeze, Split, Restart, Cut, Hang}
	if soak(t) > 0 {
		faults = append(faults, Wander, Crash, Dark, Empty)
	}
	check(t, small("streams", Streams, "--recovery", "2m"), 3*time.Second, faults...)
}

// With publish and subscribe only faults cost messages, and only on the ways that they close. One of the nodes is one of
// Node.js.
func TestClassic(t *testing.T) {
	s := small("classic", PubSub)
	s.js = true
	faults := []Fault{Kill, Freeze, Split, Hang}
	if soak(t) > 0 {
		faults = append(faults, Term, Roll, Restart, Empty, Cut)
	}
	check(t, s, 3*time.Second, faults...)
}

// The same without a Node.js node, in long runs alone.
func TestClassicAlone(t *testing.T) {
	if soak(t) == 0 {
		t.Skip("LOSSCHECK_MINUTES is not set")
	}
	check(t, small("classic", PubSub), 3*time.Second, Kill, Freeze, Split, Term, Roll, Restart, Empty, Cut, Hang)
}

func TestSharded(t *testing.T) {
	faults := []Fault{Term, Split, Empty}
	if soak(t) > 0 {
		faults = append(faults, Kill, Roll, Freeze, Restart, Cut, Hang)
	}
	check(t, small("sharded", PubSub), 3*time.Second, faults...)
}

// Where a session may be lost, too, those that are not lose nothing.
func TestStreamsAtWorst(t *testing.T) {
	check(t, small("streams", Streams, "--recovery", "2m"), 2*time.Second, Wander, Crash, Dark, Empty)
}
