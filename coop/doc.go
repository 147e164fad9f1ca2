// Package coop runs greenlets: cheap coroutines that take turns on a loop, in the manner of gevent.
//
// A [Loop] is one goroutine. It runs greenlets, timers, streams and functions posted to it, one at a
// time, so that what belongs to a loop needs no lock. A [Greenlet] is a function with a stack of its
// own: it runs until it parks (sleeps, waits for a value, for an event, for the end of another), and
// goes on later where it stood. Nobody else runs on the loop between two parks.
//
//	coop.Run(func(g *coop.Greenlet) error {
//		foo := g.Spawn(func(g *coop.Greenlet) error {
//			fmt.Println("foo")
//			return g.Sleep(time.Second) // parks foo; bar runs meanwhile
//		})
//		bar := g.Spawn(func(g *coop.Greenlet) error {
//			fmt.Println("bar")
//			return nil
//		})
//		return coop.JoinAll(g, foo, bar)
//	})
//
// [Run] makes a loop for one program. A server makes one loop a core with [NewLoops] and brings work to
// them with [Loop.Go], [Loop.Post] and [Loop.Attach].
//
// Every call that may park takes the greenlet that parks: g.Sleep, ev.Wait(g), q.Get(g). So a
// signature tells whether a function may let others run. Only the running greenlet can park, and only
// itself; anything else is refused with [ErrNotRunning].
//
// # The order of things
//
// A loop goes round in ticks. One tick is, in this order:
//
//  1. Jobs: what had been posted ([Loop.Post], [Loop.Go], [Greenlet.Kill], a finished [Await]) when the
//     tick began, in the order of posting. The links of greenlets that ended are jobs too: they run in the
//     tick after the end, in the order in which they were added, before those who joined go on.
//  2. Greenlets: those that are ready when this phase begins, the ones that the jobs made ready included,
//     first in, first out, each until it parks or ends. What becomes ready meanwhile, a greenlet that
//     yields included, runs in the next tick.
//  3. Timers that are due, by deadline, equal deadlines in the order in which they were set. A timer that is
//     set during this phase waits for the next one. A timer that wakes a greenlet makes it ready; it
//     runs in the next tick.
//  4. Flushers: what was queued with [Loop.QueueFlush] before this phase began, first in, first out. Of a long batch
//     512 run, or as many more as it takes to have as much time as all else had since the last share; the others
//     run in the next ticks, before what is queued meanwhile.
//  5. I/O: the handlers of streams that have something to read or room to write; then OnClose of those
//     that have been closed.
//
// When nothing is left to do, one of those that wait in [Greenlet.Idle] goes on; if there is none,
// the loop sleeps, in the I/O phase, until a descriptor is ready, a
// timer is due or something is posted. When there is more to do it only looks whether descriptors are
// ready, and not in every tick, because a system call costs as much as several switches: it
// looks when 16 ticks or 100 µs have passed since it last did, or a stream has more to
// read than its share of one tick. A loop without streams does not look at all while it is busy.
//
// So these are never starved: posted jobs and timers wait for one tick, I/O for 16, whatever greenlets
// do, short of not parking at all. How long a tick lasts is up to them: one that computes holds the
// loop. It can [Greenlet.Yield] from time to time, or compute in [Await].
//
// [Loop.Spawn], [Event.Set], [Queue.TryPut] and [Greenlet.Kill] never switch: what they make ready
// runs after the caller has parked.
//
// # What parks return
//
// A park returns nil when what it waited for has come. Otherwise it returns an error:
//
//   - [ErrKilled]: somebody wants the greenlet to end, or the loop is closing. This park and every
//     later one returns it. Clean up and return; returning the error is a normal end, not a failure.
//     [Greenlet.KillWith] has them return another error, and ending with that is a failure. Clean-up
//     that has to park takes the kill back first: [Greenlet.Revive].
//   - a *[TimeoutError], which is [ErrTimeout] to [errors.Is]: a scope of [Greenlet.WithTimeout] has lasted
//     too long. It is returned by one park, once. Return it up to the scope, which returns it to its
//     caller, where the next park works again. Scopes nest, and an inner one passes the outer's error on.
//   - [ErrClosed]: the queue was closed; through a port, also that its loop was.
//
// So the straight way is right: return the error of every park. A loop that goes on after ErrKilled
// does not hold up others, and is ended by force when the loop closes, its deferred functions run.
//
// What starts greenlets and must not leave any behind does so in a [Greenlet.Scope]: it returns when all of
// them have ended, and the first failure ends the others. A function that returns a value runs
// as a [Task]. [Wait], [WaitAny] and [WaitEach] wait for several greenlets, tasks, events and futures at once.
//
// A kill or a timeout does not take away what has been handed over: if a value or a wake-up came
// first, the park returns it, and the next park the error. What comes while the greenlet runs waits for
// its next park.
//
// A greenlet is a [context.Context] that ends with it, so that Go libraries can be handed one:
//
//	row, err := coop.Await(g, func() (Row, error) { return db.Find(g.Context(), id) })
//
// # Who may call what
//
// Whatever is marked "loop only" belongs to the loop: it may be called by its greenlets, from its
// callbacks (jobs, timers, flushers, stream handlers), and before [Loop.Start]. That is the greater part:
// [Event], [Future], [Queue], [Semaphore], [RLock], [Group], [Pool], [Local], [Timer], [Stream], links, Spawn. They have
// no locks, and belong to the loop on
// which they are first used; use by another goroutine is a data race, which the race detector finds.
// Two greenlets of different loops that wait for the same event or queue get a panic that says so; ports are for them.
//
// Any goroutine may call, on a Loop: Post, PostJob, Go, Call, Current, Attach, Start, Stats, Time, ID, Name, Close
// (on the loop itself, which would wait for its own end, it returns [ErrOnLoop]); on a Greenlet: Kill, KillWith,
// Ended, Successful, Result, Spawned, ID, Loop, Name, SetName, and the methods of a context. A greenlet may [Greenlet.Join] one
// of another loop. Everything else crosses over by a post, or by [Loop.Call], which waits for the
// answer. A [Conn] may be used by anybody.
//
// A queue, an event, a future and a semaphore have ports ([Queue.Port]), which any goroutine and the greenlets of all
// loops may use. A port posts to the loop at home, and parks the greenlet where it lives, or blocks the
// goroutine until its context is done. Those who wait through a port stand in one line with the
// greenlets of the home loop. What is handed over is handed to exactly one, and one who gives up has
// nothing: if the answer is on its way when a kill or a timeout comes, it is waited for, and
// the error is returned by the next park.
//
// # Working together
//
// [Event] wakes all who wait for it. [Queue] passes values on, in order, by priority ([NewPriorityQueue]) or
// the last first ([NewLIFOQueue]); with limit zero it is a channel; [JoinableQueue] knows when all has been
// dealt with. [Semaphore] limits how many do something, [RLock] is for one at a time. [Group] waits for many
// greenlets or kills them, [Pool] is a group of limited size, [Map], [IMap] and [IMapUnordered] put it to
// work on values. All of them serve those who wait in the order in which they came; the Try functions never
// switch.
//
// # Failures and panics
//
// What a greenlet's function returns is its result, for those who join it. A failure that nobody has
// begun to join by then is reported to [LoopOptions].OnFailure, by default the log. A panic ends its greenlet,
// becomes its result as a *[PanicError] with the stack, and is always reported. A panic in a callback
// is reported to [LoopOptions].OnPanic; if it was a stream's handler, that stream is closed. The
// loop goes on in every case. A greenlet that calls runtime.Goexit, as t.FailNow does, ends with [ErrGoexit].
//
// # Streams
//
// [Loop.Attach] takes a connection over from net or net/http. The loop reads it into its own buffer and
// calls the [StreamHandler]; writing never waits, a short write is followed by OnWritable. Nothing is
// buffered, so an idle stream costs its struct, and a greenlet if there is one. One stream reads at most
// 256 KB a tick before the others get their turn.
//
// TCP and Unix connections are descriptors in the loop's poller: epoll on Linux, a kqueue on macOS, FreeBSD,
// NetBSD, OpenBSD and DragonFly. TLS that a server of net/http has accepted through a [Detachable] listener stays on
// such a descriptor: once the handshake is made and the connection attached, crypto/tls runs on the loop. Reading
// never waits; what is encrypted and not taken by the system, 16 KB or so of a peer that does not read, waits
// with the stream, and goes on being sent for two seconds when the stream has ended. Connections that are more than
// that (other TLS, wrappers), and all connections on other systems or with the build tag coop_portable, are served
// by goroutines with bounded buffers; the handler sees no difference. A loop that sleeps in epoll holds no thread, one that sleeps in a
// kqueue holds one. The kqueue poller compiles and vets for its systems, and so do its tests, but neither has
// been run there by us; the tag coop_portable avoids it.
//
// # Connections
//
// A [Conn] is a net.Conn on top of a stream: what is written for net, with bufio and deadlines, runs in
// greenlets unchanged. [Dial] and [Listen] make them, [NewConn] takes one over, [TLSServer] and
// [TLSClient] add TLS, a [StreamServer] runs a handler in a greenlet for each, and a [Dialer] serves the
// hooks of drivers. The package coophttp is HTTP on top of that.
//
//	server := &coop.StreamServer{Handler: func(g *coop.Greenlet, c net.Conn) error {
//		_, err := io.Copy(c, c) // parks g, not the loop
//		return err
//	}}
//	coop.Run(func(g *coop.Greenlet) error { return server.ListenAndServe(g, "tcp", "127.0.0.1:7000") })
//
// Read and Write have no greenlet among their parameters. They find out who calls, by [Loop.Current]: a
// greenlet parks, another goroutine blocks while a greenlet works for it, and one who would hold up a loop
// is refused. So a connection that a driver uses from a goroutine of its own is slower, but safe.
// [Loop.Call] is the same for any function. A library that takes locks around a connection's calls must
// not be shared by greenlets of one loop: whoever parks with the lock stops the loop when another wants it.
// Give each its own connection, or use [Await].
//
// Names are looked up and connections made on goroutines. For subprocesses there is no more than Await:
// with exec.CommandContext(g.Context(), …) the end of the greenlet's wait ends the process, with
// exec.Command it goes on.
//
// # Clocks
//
// A loop reads its clock once a tick, for [Loop.Now] and [Timer.Reset]. [Greenlet.Sleep],
// [Greenlet.WithTimeout] and [Loop.AfterFunc] read it again, so that what was computed since then does
// not shorten them: none of these ends early. [FakeClock] stands still
// while there is anything to do and then jumps to the next deadline, so that tests of hours take no time
// and come out the same each time. A [Clock] of one's own can do otherwise.
//
// [Simulate] goes further: it runs a program in a [World] of its own, with connections in memory, late and in
// pieces, and turns that a seed shuffles. The same seed gives the same run. The package coophttp serves and
// asks in a World, too.
//
// # Seeing it
//
// A [Trace] records who ran when, what each parked for and who woke it, and draws it for a browser. A [Watchdog]
// names the greenlet that holds its loop too long, and keeps account of the lag. [Dump] prints who is
// there, in what state and since when. A loop that nobody looks at pays two comparisons a switch and one a job.
//
// # Costs
//
// In round figures, on one core of a busy server; the benchmarks of the package measure them:
//
//	switch to a greenlet and back              100 ns, no allocation
//	spawn and join                             700 ns, 2 allocations; as a task 4, with a link 4
//	waiting for any of two events              400 ns, 3 allocations
//	two values through queues, there and back  300 ns, no allocation
//	setting a timer                             65 ns, no allocation; grows with the logarithm
//	posting to a busy loop                      45 ns
//	posting to a sleeping loop                 1.7 µs
//	a parked greenlet                          2.9 KB, of which iter.Pull's coroutine is 2.7
//	a resting one ([Queue.Rest])               0.3 KB
//	TLS, beside its stream                     4 KB, and 0.5 to 1.5 µs more for a small write
//
// A greenlet's stack begins at 2 KB and doubles when it has to. Of one that has grown half is given back
// by a garbage collection that finds three quarters unused. [Greenlet.OnLoop] lends the loop's stack to what
// needs a deep one. A loop keeps a few ended coroutines for the next greenlets; queues, timers and
// the loop's own lists give memory back after a peak.
//
// Coroutines count as goroutines: the race detector gives up at 8128 of them.
package coop
