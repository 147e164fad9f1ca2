//go:build unix

package losscheck

import (
	"testing"
	"time"
)

func small(adapter string, promise Promise, args ...string) setup {
	return setup{
		adapter: adapter, promise: promise, args: args, clients: 200, publishers: 8, every: 150 * time.Millisecond,
	}
}

// With the streams adapter nothing is lost, doubled or misordered, whatever fails.
func TestStreams(t *testing.T) {
	faults := []Fault{Kill, Roll, Freeze, Split, Restart, Cut}
	if soak(t) > 0 {
		faults = append(faults, Wander, Crash, Dark)
	}
	check(t, small("streams", Streams, "--recovery", "2m"), 4*time.Second, faults...)
}

// With publish and subscribe only faults cost messages, and only on the ways that they close. One of the nodes is one of
// Node.js.
func TestClassic(t *testing.T) {
	s := small("classic", PubSub)
	s.js = true
	faults := []Fault{Kill, Freeze, Split}
	if soak(t) > 0 {
		faults = append(faults, Term, Roll, Restart, Cut)
	}
	check(t, s, 3*time.Second, faults...)
}

// The same without a Node.js node, in long runs alone.
func TestClassicAlone(t *testing.T) {
	if soak(t) == 0 {
		t.Skip("LOSSCHECK_MINUTES is not set")
	}
	check(t, small("classic", PubSub), 3*time.Second, Kill, Freeze, Split, Term, Roll, Restart, Cut)
}

func TestSharded(t *testing.T) {
	faults := []Fault{Term, Split, Restart}
	if soak(t) > 0 {
		faults = append(faults, Kill, Roll, Freeze, Cut)
	}
	check(t, small("sharded", PubSub), 3*time.Second, faults...)
}

// Where a session may be lost, too, those that are not lose nothing.
func TestStreamsAtWorst(t *testing.T) {
	check(t, small("streams", Streams, "--recovery", "2m"), 2*time.Second, Wander, Crash, Dark)
}
