package losscheck

import (
	"testing"
	"time"
)

func small(adapter string, promise Promise) setup {
	return setup{adapter: adapter, promise: promise, clients: 200, publishers: 8, every: 150 * time.Millisecond}
}

// With the streams adapter nothing is lost, doubled or misordered, whatever fails.
func TestStreams(t *testing.T) {
	s := small("streams", Streams)
	s.args = []string{"--recovery", "2m"}
	check(t, s, 1, 4*time.Second, Kill, Roll, Freeze, Split, Restart, Cut)
}

// With publish and subscribe, only faults cost messages, and only on their ways.
func TestClassic(t *testing.T) {
	s := small("classic", PubSub)
	s.js = true
	check(t, s, 1, 3*time.Second, Kill, Freeze, Split)
}

func TestSharded(t *testing.T) {
	check(t, small("sharded", PubSub), 1, 3*time.Second, Kill, Freeze, Restart)
}
