// Package zeromq lets programs in any language publish into rooms, and hear rooms, over ZeroMQ.
//
//	bridge, err := zeromq.Listen(h, zeromq.Options{
//		Pull: "tcp://127.0.0.1:5560", // push here
//		Pub:  "tcp://127.0.0.1:5561", // subscribe here, by room
//	})
//
// # Endpoints
//
// Pull binds a PULL socket: PUSH sockets connect and their messages become publications. While the
// hub is saturated it stops reading, so that TCP holds the publishers back.
//
// Sub binds a SUB socket: PUB sockets connect. A PUB cannot be held back, so while the hub is
// saturated its messages are dropped and counted.
//
// Connect names PUB sockets elsewhere that the bridge connects to, for as long as it lives: each is tried again
// whenever it is not there, subscribed to anew before anything else, and sent heartbeats. [Bridge.Publishers] tells
// how they are. With Demand, a room's first member, or that of a prefix, or a subscriber at Pub, subscribes to it at all publishers,
// the last leave cancels after Linger, and what a prefix brings beside is dropped.
//
// Pub binds an XPUB socket: SUB and XSUB sockets connect and subscribe to rooms. They hear every
// message of those rooms, from browsers as well as from other publishers. Each subscriber has a
// bounded queue of its own: what does not fit is dropped for that subscriber alone, whole messages at
// a time. One that stays behind, for longer than Options.SlowAfter, or with messages older than
// Options.MaxLag, is disconnected; or, with Options.Slow, misses what is too old and stays.
//
// Endpoints are written tcp://host:port (port 0 or * takes a free one, host * is every interface),
// ipc:///path, or ipc://@name for a Linux abstract socket. They speak NULL, which has no
// authentication, unless Options.Security says otherwise: a TCP address that is not loopback needs CURVE, or
// Options.Insecure. An ipc path is created
// with Options.IPCMode; abstract sockets are open to every user of the machine, as loopback is.
//
// # Messages in
//
// [Pushpin], [TextSpace], [TextColon], [JSONType], [Bitcoin] and [Raw] are layouts of publishers that exist already;
// docs/zeromq.md shows each. The default, [Greenroom], takes
//
//	[room, payload]          the event "message"
//	[room, event, arg...]    any event
//	{...}                    one frame, a JSON object: the envelope
//
// The envelope has "room", a string or an array of strings (each room gets a publication of its own),
// and optionally "nsp", "event" (default "message"), "args" (an array) or "data" (one value), "bin"
// (base64 strings, which become binary arguments behind the others), "except" (session ids that do not
// get it), "id" (a second publication with this id within a minute is dropped), "volatile", and "retain":
// the publication is kept for those who come later, one without args, or with null alone, ends that. Keys are
// matched to the letter, others are ignored.
//
// A payload or argument that is a JSON object or array is that value; any other UTF-8 is a string, so
// that 42 stays "42"; the rest is binary, of which one message may hold 10, as a packet of Socket.IO may.
// [Format] has stricter rules. The event "presence" is the server's own. Rooms are 1 to 255 bytes of
// UTF-8 without control characters, not starting with "$". The namespace is Format.Namespace, or
// comes from a first frame like "/chat#lobby" with Format.NamespaceInTopic.
//
// What does not fit is counted by the hub, logged once in a while, and dropped; it is never guessed
// and never costs its sender the connection. What breaks the protocol does. A peer whose socket type or
// metadata is refused is told why by an ERROR command: [Push] and [Subscribe] return the reason, libzmq does
// not connect again.
//
// # Messages out
//
// Every message of a room leaves as [topic, event, arg...]. The topic is the bare room in the
// namespace "/", "/chat#room" in others; a room of "/" that itself looks like "/chat#room" has the topic
// "/#/chat#room". A string argument is its text, a binary one its bytes, all else compact JSON, in which
// nested binary values are base64 strings. The last argument of a publication is its meta object
// {room, id, seq, from, at, via?, epoch, retained?}. With Options.PubStyle [Plain] it is [topic, arg...] without meta.
// ZeroMQ subscriptions are prefixes: a subscriber to "room1" also hears
// "room10" and compares the first frame if that matters. Subscribing to a topic twice is subscribing
// once, and one cancellation ends it, as in libzmq's XPUB. Rooms starting with "$" are not sent.
//
// A new subscription brings, to its subscriber alone, what the rooms that it covers retain, with "retained":true in
// its meta, at most Options.MaxRetained values, and behind that what is published. Nothing is missing between the two
// and nothing comes twice, however busy the rooms are. What another subscription of the same subscriber covers is
// left out: it has that already.
//
// seq counts the publications of a room: a subscriber that finds 7 behind 5 has missed one, because its queue was
// full, or it was away. epoch names the run of the server that has counted, which with several nodes is the one at which
// it was published: numbers of two epochs have nothing to do with each other. A room that has had neither members nor publications for long may go on
// with a higher seq than it had. Events that the application emits itself have no meta.
//
// Options.Welcome is a message that each subscriber gets first; its library shows it if the program has subscribed
// to the first frame. The bridge has topics of its own, whose messages are [topic, JSON object]. Only who asks for
// them, or for "$", hears them:
//
//	$hb      {epoch, sent, at}                                  every Options.PubHeartbeat, with the number of messages sent
//	$room    {event, nsp, room, members, joined?, left?}        a room was "created" or "emptied", or its "members" changed, at
//	                                                            most once a second
//	$demand  {topic, wanted}                                    the first subscription to a topic, the end of the last
//
// A subscriber hears what its principal may read, of $room, $demand and retained values too.
// # Requests
//
// Control binds a ROUTER socket that answers REQ and DEALER sockets: it publishes with a confirmation, moves and
// disconnects sessions, lists, and gives snapshots, from which, together with a subscription, a copy of many rooms is
// kept without gap. Requests and answers are JSON; docs/control.md lists them.
//
// Workers binds a ROUTER socket where processes in any language register for the events of sessions. They let
// clients in, answer their acks, publish, and move sessions. [Bridge.Workers] has the handler and the middleware that
// hand a namespace over to them. Events go to workers that have credit, the least loaded first, in the order of each
// session; those of a worker that dies go to another, marked; each has one outcome. docs/workers.md is the protocol.
//
// Both answer the connection that asked, never an identity that a peer claims. Answers wait in each peer's own bounded
// queue, so that nobody who does not read holds up others. They need a [*hub.Hub], where the others publish and
// listen only.
//
// # Order and loss
//
// The messages of one connection are published in the order in which they were sent, and every subscriber
// hears the messages of a room in the room's order. ZeroMQ confirms nothing: what is in a socket's buffers
// when its connection breaks is lost, and a subscriber hears what is published from the moment at which
// its subscription has arrived. [Bridge.Close] reads what publishers have sent already and lets subscribers
// take what is queued for them, as far as that is done within a second. Publishers that need an answer
// use Control.
//
// # Who may call what
//
// All methods of a [Bridge] may be called from any goroutine. [Push] and [Subscribe] are small clients for
// tools and tests; their results are for one goroutine each. Programs use a ZeroMQ library.
//
// [Workers.Serve] and [Workers.Admit] run in a session's greenlet, and park it; they are for the hub to call.
//
// Messages reach the hub on the goroutine of the publisher's connection. [Hub].Publish must not wait for
// clients; nothing else of the bridge waits for it.
//
// # Security
//
// Options.Security gives the bound endpoints CURVE, which encrypts and lets in keys, or PLAIN, which asks for a
// password and protects nothing on its way. Who is let in stands in files in pyzmq's format, which are looked at again
// while the server runs, or is decided by an [Authenticator] or by a ZAP handler elsewhere; when those fail nobody is.
// Each peer is a [Principal] afterwards, with [Patterns] of rooms that it may publish into and hear. A publication into
// another room is dropped and counted. A subscription that none of its rooms could match is ignored and counted; one
// that reaches further than its permission brings what it may hear and no more. The peer is told nothing of either.
//
// A server that connects to publishers, and tools ([Dialer]), speak CURVE as clients. [Diagnose] says what is wrong
// with an endpoint. docs/zeromq-security.md is the guide.
//
// # Limits
//
// Everything a peer sends is limited (see [Options]): connections that have not shaken hands, by number
// and by time; CURVE handshakes a second; connections; frames, messages, subscriptions, heartbeats. zmq4's own socket layer is not
// used: one packet can end a process that runs it. Only its codec is, behind a guard that checks the stream.
//
// # Costs
//
// A connection costs two goroutines, 4 KiB of read buffer while it is idle and 64 KiB while it is busy; one
// that sends large messages makes it hold up to twice MaxMessageBytes. A subscriber that does not keep up
// costs up to two times QueueBytes. A message is encoded once for all its subscribers, who are found by a
// look-up for each length of a topic in use; what is queued while a write is under way leaves in one. CURVE costs 0.4 ms
// a handshake, 4 KiB more of read buffer, and half a microsecond a frame and 1.5 ns a byte, for each subscriber again.
package zeromq
