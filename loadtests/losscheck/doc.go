// Package losscheck finds out whether a cluster of nodes loses, doubles or shuffles messages while its parts fail.
//
// Publishers number their messages, each into a room of its own or a shared one. Clients are in some of the rooms, write
// down what comes, and come back as official clients do: to another node if theirs is gone, with the id of their session
// and the offset of what they got last. A [Ledger] knows what was published, when which fault lasted, and what each client
// got; [Ledger.Judge] compares.
//
// Nothing is decided by clocks. A fault begins after all clients have got what was published up to a mark, and ends
// when every node says that it is ready and every client is in its rooms: which messages a fault may cost is known by their
// numbers. What is promised differs:
//
//   - With the streams adapter ([Streams]) a client gets every entry of the stream for its rooms once, and those of each
//     publisher in order, whatever happens. What is not in the stream was never published: that is excused only for the
//     last messages of publishers at a node that was killed.
//   - With publish and subscribe ([PubSub]) messages may be lost inside of a fault, and only on ways that it closes: a
//     killed node costs its own clients and publishers something, but nobody else; a Redis that is away costs nothing
//     among the clients and publishers of one node.
//
// Some publishers are clients ([Publisher]), others backends that ask over ZeroMQ ([Asker]). Both send a message again, with
// the id that it has, until a node says that it is published: to another node when theirs is killed or stands still, clients
// as long as their session goes on, and backends at times without waiting at all. Everybody has to get it once. Two nodes may
// both deliver it where they cannot know of each other: to the clients of a node that is without Redis, and to all when
// Redis has come back empty ([Empty]). Such doubles are told apart.
//
// That costs the streams adapter what was in the stream and not read yet, and sessions: a client that comes back may have
// to begin anew, but must not be told that it has missed nothing when it has. Nothing is doubled beside, and the order of
// what is in the stream is kept.
//
// While Redis is away, or a node is cut off from it, the fault lasts until the clients of such nodes have got everything that
// was published at their own node meanwhile: all of it, see [Ledger.Local]. A rolling restart must leave no publication
// without an answer; how many got theirs from the first node that was asked is told.
//
// The faults are real: processes are killed, stopped and restarted, and connections run through a [Proxy]. The tests of
// this package drive them by a plan, which follows from a seed that they print:
//
//	go test ./loadtests/losscheck     a short run of each adapter
//	make soak MINUTES=5               long ones, with nodes that look for races
//	make soak SEED=17                 another plan, or the same once more; LOSSCHECK_SEED for short runs
package losscheck
