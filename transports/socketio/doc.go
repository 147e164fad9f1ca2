// Package socketio serves Socket.IO protocol 5, which unmodified clients of versions 3 and 4 speak, and on
// request protocol 4, that of versions 1 and 2; and gives every namespace of every connection a session of a
// [hub.Hub].
//
//	h, err := hub.New(hub.Options{})
//	…
//	err = h.Handle("/", func(s *hub.Session) error {
//		s.Join("lobby")
//		for ev := range s.Events() {
//			var text string
//			if ev.Match("say", &text) {
//				s.To("lobby").Emit("said", s.ID(), text)
//			}
//		}
//		return nil
//	})
//	…
//	srv := socketio.New(h, socketio.Options{})
//	http.ListenAndServe("127.0.0.1:3000", srv)
//
// What an application does with its clients stands in package hub; this package is the wire. A [Server] is an
// [net/http.Handler] for the path /socket.io/, which [engineio.Options] can change. Polling, WebSocket and
// the change from the one to the other are the business of package engineio, below.
//
// # What clients see
//
// A namespace exists when the hub has a handler for it; others are refused with "Invalid namespace", as in
// Node.js. A middleware ([hub.Namespace.Use]) that fails is a `connect_error` with the error's text, and with
// `data` when it is a [hub.ConnectError]. Acks go both ways: [hub.Event.Ack] answers the client, [hub.Ask]
// waits for the client's answer. Binary values travel as attachments: []byte there, Buffer or ArrayBuffer here.
//
// Sessions end with the reasons that Node.js uses: [ReasonClientDisconnect], [ReasonServerDisconnect],
// [ReasonForcedClose] and those of package engineio. When the server disconnects a session the client does not
// come back by itself; when a connection breaks, or the server shuts down, it does: as a new session, or, if the
// hub has [hub.Recovery], to the one that it had. That is connection state recovery, as clients know it since
// version 4.6: `recovered` is true there, the client has got what it missed, and all events but volatile ones and
// those with an ack have an offset behind their arguments.
//
// # Clients of versions 1 and 2
//
// With [engineio.Options].AllowEIO3 older clients are served as well, on the same path and in the same rooms; their
// handlers are the same. A namespace's query (io("/chat", {query: …})) is its auth payload, an object of strings,
// because they have no other. They are connected to "/" at once, whether they want it or not; when the hub has
// no handler for it they are told nothing. A refusal reaches them as the event `error`, with the message alone,
// or the data alone if there is any.
//
// They take the id of the Engine.IO session for their own, so that is their session's id in "/", and behind "/chat#"
// it is in another namespace, as with the Node.js server. But to Engine.IO it is a secret: who knows it can speak
// for a client that polls. An application that tells its clients each other's ids should not let old ones in,
// or give them names of its own; [hub.Relay] does. They cannot come back to a session ([hub.Recovery]), though their events have
// offsets, as those of others in the room have.
//
// # Who may do what
//
// [New], [Server.ServeHTTP] and [Server.Close] may be called from any goroutine. A connection lives on one of
// the hub's loops, with all its namespaces; nothing here takes a lock. Close the server before the hub, so
// that clients are told.
//
// [Decode] and [Packet.Append] are the codec. They depend on nothing and may be used on their own.
//
// # msgpack
//
// With [Options].Parser = [Msgpack] the server speaks to clients that were made with the parser of the npm package
// socket.io-msgpack-parser 3, its odd extensions included: a Date arrives as the text that JSON would make of it,
// undefined as null, or not at all in objects. Handlers see no difference, and two servers of one hub, one for
// each parser, share rooms:
//
//	plain := socketio.New(h, socketio.Options{})
//	packed := socketio.New(h, socketio.Options{
//		Parser: socketio.Msgpack,
//		Engine: engineio.Options{Path: "/packed/"},
//	})
//
// The hub keeps JSON, at most six times as long as the msgpack that came. Messages are turned into msgpack once,
// however many get them, and packets from clients once each, which costs about twice what reading JSON does. It
// pays for binary data: none of it becomes a message of its own, and no packet is ever incomplete.
//
// # Limits
//
// Everything that a client sends is bounded, and each refusal is counted in the hub's counters under a name
// that starts with "socketio_":
//
//   - a message, and a binary packet as a whole: Engine.MaxPayload bytes
//   - attachments of a packet: 10, as in every official parser since 4.2.6. The same holds for what is sent: an
//     event with more is dropped, an ack with more refused, because the client would close the connection.
//     In msgpack 1000 come in and any number goes out; of an event with more than 10 the clients of a JSON
//     server in the same room see nothing
//   - time for the attachments of a packet: PartialTimeout
//   - time to join a first namespace: ConnectTimeout
//   - namespaces of a connection: MaxNamespaces; joined in 5 s: twice as many
//   - the query behind a namespace, of protocol 4: 8 KiB
//   - nesting of JSON and of msgpack: 128; an event's name: 1024 bytes; a namespace's: 255; an ack id: 15 digits
//   - events a second of a session: the hub's EventRate and EventBurst
//   - events that a handler has not taken yet: the hub's InboxEvents and InboxBytes. Beyond them the client
//     is not read from until its handler has caught up
//
// A packet that makes no sense closes its connection, and nothing else; a WebSocket client is told why by the
// close frame, with status 1002, or 1008 and 1009 for what is too much, too late or too big. Packets for a
// namespace that was left or refused a moment ago are ignored instead: they were on their way. Those for one
// whose CONNECT is not decided yet wait for its handler.
//
// # Differences from the Node.js server
//
// Forms that no client writes but JavaScript's conversions let through are refused: an event without
// JSON, a count of attachments such as `1e0`, an ack id with a space, a placeholder numbered 0.5. A second
// CONNECT while a middleware decides is ignored instead of making a second session. Acks that the server waits
// for fail at once when the client leaves. A client is recovered however quiet its rooms were, and also when it is back
// before its old connection was known to be dead, where the Node.js server begins a new session.
//
// # Costs
//
// An event is looked at once: [Decode] validates its JSON and finds its name, and placeholders, in one pass. A
// message to a room is encoded once for each transport in use, however many get it; so is its compressed form,
// where [engineio.Options] ask for one. An idle WebSocket session
// takes about 5 KB, its greenlet and the client's request included; TestSessionsScale measures it.
package socketio
