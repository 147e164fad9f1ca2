// Package load measures what realtime servers cost under load: Socket.IO servers of every age, and Centrifuge.
//
// [Run] takes a [Plan], what clients do, and a [Peer], the server, and returns a [Result]. The figure to compare is the
// server's processor time for each delivery, ack or connect: unlike the number of them in a second it hardly depends
// on how fast the generator is, with which the server shares the machine.
//
//	r, err := load.Run(ctx,
//		load.Plan{Mode: load.Fanout, Clients: 1000, Window: 4},
//		load.Peer{Name: "mine", Command: []string{"bin/server", "{port}"}})
//	fmt.Printf("%.2f µs a delivery\n", r.ServerMicros)
//
// [Command] is the same as a command line, and [WriteHTML] makes a page with charts of results.
//
// # What clients do
//
// Every client connects, over WebSocket or HTTP long-polling, logs in, and, in a fan-out, joins its room.
//
//   - [Fanout]: the first member of each room publishes, all members receive. Counted are deliveries. One room of N, or
//     R rooms that share the clients.
//   - [Echo]: each client calls echo and waits for its ack. Counted are acks.
//   - [Idle]: they answer heartbeats, or begin them where that is the client's part. What counts is the server's
//     memory for each, and its processor time at rest.
//   - [Connect]: they connect, log in and leave. Counted are logins.
//
// A server to measure offers join(room) with an ack, pub(room, text), which sends msg with the text to everybody in
// the room and the publisher too, and echo(value) with an ack. One that speaks Centrifuge's protocol lets clients
// subscribe, publish to what they have subscribed to, and call echo.
//
// # When they do it, and latency
//
// With a [Plan].Rate messages leave at fixed times, whatever has become of the earlier ones, and latencies count from
// those times: a server, or a generator, that stands still for a second has all messages that were due in it be late.
// Nothing is left out because somebody waited (coordinated omission). This is the way to measure latency.
//
// Without a rate a message leaves when one of those before it has reached everybody, so that [Plan].Window of them
// are under way all the time. This measures what a server costs when it always has work. Its latencies begin with the
// sending, and are those of a closed loop: a server that is slow is asked less, and they say nothing about what users of a
// busy server would see.
//
// Latencies are kept in an HdrHistogram, to three digits. Those of a fan-out include Plan.Gather.
//
// # Faults
//
// Every text carries its number and that of its room, and every receiver is watched: a message that it misses, gets
// twice, gets after a later one, or should not have got is counted in [Faults], those of the warming up included. If there is
// any, Run returns a *[FaultError]. When the measurement ends, what is under way gets five seconds from the last
// arrival to arrive.
//
// # The generator
//
// All clients live on one loop of greenroom/coop, on one core. A greenlet connects each of them and goes through its login,
// greenlets publish, poll, post, and come and go. But what a WebSocket receives is read by a callback on the
// loop: a fan-out delivers a million messages a second, and to wake a greenlet for each would cost 100 ns on top of the
// 600 that reading and checking one costs, and 2.9 KB for each client, of which an idle one costs 1.3 KB.
//
// While a server writes to its sockets one by one, the generator would wake for every one of them and compete with the
// server for the processor. So after a tick in which few were ready the loop stands still for Plan.Gather.
//
// The server's processor time and memory come from Linux, for its process and all its descendants; on other systems
// they are zero, and everything else works.
package load
