// Package hub is the middle of Greenroom: sessions, rooms, broadcast, history and presence.
//
// It knows nothing of wires. A transport (Socket.IO, ZeroMQ, …) brings connections in and hands over
// what clients send; the application registers a handler; the hub gives every message its place in its
// room, encodes it once per wire format in use and puts pointers to that encoding into the outboxes of
// the members.
//
// # Sessions
//
// A session is one namespace of one client's connection. It lives on one [coop.Loop] and has one
// greenlet, which runs the namespace's handler from the first event to the last:
//
//	h, err := hub.New(hub.Options{})
//	err = h.Handle("/", func(s *hub.Session) error {
//		s.Join("lobby")
//		for ev := range s.Events() { // parks this greenlet, not a thread; ends when the client leaves
//			var text string
//			if ev.Match("say", &text) { // a say without a text was refused, and is no match
//				s.To("lobby").Emit("said", s.ID(), text)
//				ev.Ack(len(text))
//			}
//		}
//		return nil // the client, if it is still there, is disconnected
//	})
//	http.ListenAndServe("127.0.0.1:3000", socketio.New(h, socketio.Options{}))
//
// Because the handler is straight-line code it can ask and wait where others keep state: [Ask] emits an
// event and parks until the client has answered, [Session.Wait] until it sends a certain event,
// [Session.Sleep] for a time; all three end at once when the client leaves. Who prefers a table of
// functions by event name registers [Events], or serves one within a handler ([Session.Serve]). [Relay] is a
// ready-made handler for clients that bring their own meaning. Namespaces that clients name themselves come from a
// [Family].
//
// A middleware ([Namespace.Use]) runs in the same greenlet before the client is told that it is
// connected, and may refuse it; events that come meanwhile wait for the handler. A session's own middlewares
// ([Session.Use]) see each of its events first. A handler or middleware that panics ends its own session only. When the
// client leaves first, the handler gets what it had sent before and then the end of its events, and
// [Session.Reason] says why; when the server disconnects it, what was not handled yet is dropped.
//
// # Who may call what
//
// There are three places to call from:
//
//   - Any goroutine: the methods of [Hub], [Family], [Namespace], [Target] and [Snapshot]. They take short locks and
//     never wait for a client or a loop, but for four that collect what others say, and park a greenlet or block a
//     goroutine meanwhile: [Target.Ask], [Target.Sessions], [Namespace.SessionPage], [Namespace.ServerAsk].
//   - The session's loop: the methods of [Session] and [Event]. A loop runs one greenlet or callback at
//     a time, so that handlers on one loop share data without locks; those on different loops do not.
//     From elsewhere, address a session by its id: h.To(id).Emit(…), h.In(id).Disconnect(…).
//   - The session's own greenlet: what parks, which is [Ask], [Session.Events], [Session.Serve], [Session.Wait] and
//     [Session.Sleep].
//
// Functions that the hub is given and calls on a loop, such as those of an [Observer], neither block nor park; a
// panic there is counted and logged.
//
// A handler that blocks its goroutine (a database, a channel, a mutex held for long) stops its whole loop:
// wrap such calls in [coop.Await].
//
// # Rooms
//
// A room is a name with members. It comes into being with its first member or publication and goes with
// the last, or a while later if it has history. Every session has a room of its own, called by its id.
// [Session.Join] and [Session.Leave] take any name; what clients and publishers may name is stricter,
// see [CheckRoom]: names that start with "$" belong to the hub. Namespaces are worlds of their own: the
// same name in two of them means two rooms.
//
// A [Target] says who gets a message, and is a value:
//
//	h.To("a", "b").Except(id).Volatile().Emit("tick", t)
//	s.To("lobby").Emit("typing")     // all in the room but this session
//	h.In("a").Join("b")
//	answers, err := h.To("a").Within(2*time.Second).Ask("vote?") // err names whose answers are missing
//	sessions, err := h.In("a").Sessions()
//
// [Session.Identify] says whose session it is, and [Namespace.User] addresses all of a user's. Who looks after a hub from
// outside lists rooms and sessions page by page ([Namespace.RoomPage], [Namespace.SessionPage]) and reads what rooms keep
// ([Namespace.History], [Namespace.Present]); lists know this node alone.
//
// [Target.Emit] sends an event and forgets it. [Hub.Publish] sends it with a last argument that says who
// published it and when, gives it an id and keeps it in the room's history. Nobody can publish the event
// `presence`, by which the hub says who is in a room.
//
// A session may hear all rooms whose names start with a prefix, those to come included ([Session.JoinPrefix]), without
// being a member of any. A message that prefixes cover costs a walk along the room's name, whatever their number, and
// a lock for each prefix that covers it; where a namespace has none, one comparison.
//
// A publication may be retained ([Publication.Retain]): the hub keeps the newest such one of each room, also when
// the room has neither members nor history, for those who come later. Each publication has its number in the room
// (seq in meta, [Message.Seq]), which goes on as long as the process lives; [Hub.Epoch] names that. With
// [Hub.SnapshotRooms] who listens to rooms gets their state without gap or double to what is heard.
//
// # Order
//
// Every room has a sequencer, which gives each message one offset. Promised:
//
//   - All members, on all loops, history and taps see a room's messages in one order.
//   - What one session does (join, leave, emit, publish) takes effect in the order in which it does it, and
//     so does what one goroutine emits and publishes.
//   - A member gets exactly the messages sequenced after its join and before its leave, each once, even
//     when it has left by the time they arrive. A join through [Relay] that brings history leaves no gap
//     to what follows and no overlap.
//   - When [Hub.Publish] returns, and so when Relay acks a publish, the message is sequenced, in history
//     and shown to the taps. It does not mean that anybody has received it.
//
// Not promised:
//
//   - An order between rooms, except that messages from one goroutine reach a client in the order in which
//     they were sent.
//   - An order between what is addressed to a client directly on its loop ([Session.Emit], [Event.Ack]) and
//     room messages that are on their way to it: the former may overtake the latter. Relay acks a leave
//     behind them, so that nothing of the room follows the ack.
//   - An order between [Target.Join], [Target.Leave] or [Target.Disconnect] and what is emitted right after:
//     they take effect on each loop in turn, soon. Whom [Target.Except] leaves out is looked at there too.
//   - Delivery. A message reaches a client at most once. A client that was away asks Relay for
//     history(room, {after: id}), whose `complete` says whether anything is missing, or it comes back to its
//     session, see below.
//
// # Clients that come back
//
// With [Options.Recovery] a session whose connection broke waits for its client: its id, its rooms and Data are
// kept, and so is what was sent to it. The client gets that first, exactly once and in order, and then
// goes on. To make that possible every event has its offset as one more last argument, unless it is volatile
// or wants an ack: clients see it. (A volatile event whose own last argument is a text makes the official client forget
// where it was, and so ends in a new session.)
//
// The session begins again as far as the handler is concerned. When the client is lost the events of the handler end,
// as ever, and [Session.Reason] says why; when it is back, and that handler has returned, the handler is called
// anew, with a new [Session] of the same id, in its rooms already, whose [Session.Recovered] is true and whose Data
// is what the earlier one has left there. Nothing else is carried over: what is to last belongs into Data, and
// who tells a room of comings and goings may want to look at Recovered. Middlewares do not run again unless
// [Recovery] says so; then the session is back in its rooms once they have let it in.
//
//   - The ends that count are those that nobody wanted, and a shutdown. After [Session.Disconnect], or when
//     the client says that it leaves, there is nothing to come back to.
//   - A session that is away is a member of its rooms for what it will have missed, and [Target.Join],
//     [Target.Leave] and [Target.Disconnect] reach it; it does not keep a room alive, and is not counted
//     or listed. What its own handler still emits to it is for it as well.
//   - A client may be back before the server has noticed that it was away. The earlier session then ends
//     with [ReasonReplaced]. Of two clients with one secret the later one has the session.
//   - If the session cannot be had back in full (too late, too much missed, a secret or offset that is none), the
//     client gets a new one, with a new id.
//
// All of a namespace's messages then have one sequencer, so that [Message] offsets of a room have gaps.
//
// # Clients that do not read
//
// What waits for one connection is bounded by [Options.OutboxBytes]. At that bound [Options.SlowConsumer]
// decides: [Disconnect] closes the connection; [DropNewest], [DropOldest] and [LatestOnly] drop room
// messages and never reorder what they keep. What is addressed to one client, acks among them, is never
// dropped; it may use as much again before the connection is closed all the same. Volatile messages do not
// wait at all. Nobody else waits for a slow client.
//
// # Limits
//
// What clients can make the hub hold is bounded by [Options], and a call of Relay by [RelayOptions]:
//
//	what                                        bound                          beyond it
//	events not handled yet                      InboxEvents, InboxBytes        the client is not read from
//	the same, when it has sent them already     InboxMax                       disconnected
//	bytes not read by the client                OutboxBytes                    SlowConsumer
//	publications kept per room                  HistoryMessages, HistoryBytes  the oldest go
//	rooms kept for their history                MaxEmptyRooms, EmptyRoomBytes, the longest empty go
//	                                            HistoryTTL
//	publications retained                       MaxRetained, RetainedBytes,    what was retained the longest ago
//	                                            RetainedTTL                    goes
//	ids of publications                         DedupMax, DedupWindow          the oldest are forgotten
//	messages kept for clients that come back    Recovery.MaxMessages,          the oldest go
//	                                            MaxBytes, MaxDisconnection
//	                                            and two minutes
//	sessions that wait for their clients        Recovery.MaxSessions,          the longest away go
//	                                            MaxDisconnection
//	bytes sent to a client that is back         half of OutboxBytes            a new session
//	time for the earlier session's handler      5 s                            a new session
//	  to end when its client is back
//	rooms that a session has left lately        128                            no recovery to before that
//	answers that a session waits for            1 024                          Ask fails; of many, it is missing
//	a room's name, an event's name              1 to 255 bytes                 refused: bad_room, bad_event
//	binary values of a publication              10, as official clients take   refused: too_many_attachments
//	events a second of a session                EventRate, EventBurst          refused: rate_limited; disconnected when
//	                                                                           it goes on at ten times the rate
//	namespaces of families                      MaxNamespaces                  the client is refused
//	rooms of a session                          MaxRooms                       refused: too_many_rooms
//	prefixes of a session                       MaxPrefixes                    refused: too_many_prefixes
//	length of a prefix, for Relay               MinPrefix                      refused: prefix_too_short
//	calls a second                              Rate, Burst                    refused: rate_limited
//
// The application itself is not limited: its rooms have any name, and it may join a session to any number.
//
// # Counters
//
// Whatever is dropped or refused is counted. [Hub.Counters] returns all counts by reason; a reason is a
// constant of the program, never a client's text. Those of this package:
//
//	ack_unexpected              a client answered what was not asked, or too late
//	adapter_bad_payload         another node's message that cannot be read
//	adapter_failed              other nodes may not have got what was for them
//	asks_full                   a question to a client that has MaxAsks unanswered ones
//	callback_panicked           a panic in a callback on a loop, or a function given to the hub; a mistake of the program
//	event_after_disconnect      an event that waited when the server disconnected its client
//	event_before_refusal        an event that a client sent before a middleware refused it
//	event_rate_disconnected     a client was disconnected that went on far beyond its rate
//	event_rate_limited          an event beyond the rate of its session
//	event_refused               an event was refused
//	handler_error               a handler returned an error while its client was there
//	handler_failed              a handler panicked
//	inbox_overloaded            a client was disconnected at InboxMax
//	memory_released             many sessions have come or gone, and memory was given back to the system
//	namespace_refused           a client asked for one namespace of a family too many
//	page_unreadable             another node's part of a list of all nodes, or its question for one, was none
//	presence_announce_failed    other nodes may not have been told who is here; they are told again
//	presence_caught_up          watchers of a room were told what they had missed while messages of other nodes were lost
//	presence_failed             an update on who is there could not be encoded
//	presence_renewed            too much waited to be told, all is told anew
//	presence_unreadable         another node's update on who is there was none
//	publication_duplicate       a publication with an id seen before
//	recovery_bad_data           the Data of a session of another node's cannot be decoded, and is left out
//	recovery_bad_offset         a client came back with an offset that is none
//	recovery_bad_session        what another node has saved of a session cannot be read
//	recovery_bytes_full         a message no longer kept, because of Recovery.MaxBytes
//	recovery_data_not_saved     a session's Data cannot be encoded, or is too large, to be saved for other nodes
//	recovery_in_use             a client came back to a session that another one is coming back to
//	recovery_message_expired    a message no longer kept, because of its age
//	recovery_messages_full      a message no longer kept, because of Recovery.MaxMessages
//	recovery_offset_lost        a client came back that has missed what is no longer kept
//	recovery_recovered          a client came back to its session
//	recovery_replaced           a client came back before its connection was known to be broken
//	recovery_session_expired    a session's client has not come back in time
//	recovery_sessions_full      a session forgotten because of Recovery.MaxSessions
//	recovery_store_failed       other nodes could not be asked for a session, or what it has missed
//	recovery_taken_over         a session is another node's, to which its client has come back
//	recovery_too_much           a client came back that has missed more than can be sent at once
//	recovery_too_slow           a client came back, and the handler of its session did not end
//	recovery_unknown_session    a client came back to a session that is not there
//	relay_prefix_too_short      a prefix that Relay was asked for and that was below MinPrefix
//	relay_rate_limited          a call of Relay beyond its rate
//	relay_too_many_prefixes     a prefix that Relay was asked for beyond MaxPrefixes
//	relay_too_many_rooms        a room that Relay was asked for beyond MaxRooms
//	retained_bytes_full         a publication no longer retained, because of RetainedBytes
//	retained_expired            a publication no longer retained, because of its age
//	retained_full               a publication no longer retained, because of MaxRetained
//	server_event_unknown        another node's event for which nothing is registered here
//	session_data_not_encodable  a session's Data that other nodes asked for cannot be encoded
//	session_prefixes_full       a prefix that a session did not join because of MaxPrefixes
//	session_rooms_full          a room that a session did not join because of MaxRooms
//	shared_claim_failed         other nodes did not say whether a publisher's id is new
//	shared_given_full           somebody may get a message again that came with a room's history
//	shared_read_failed          what nodes share of a room could not be read
//	shared_unreadable           a publication that nodes have kept cannot be read
//	slow_consumer_disconnected  a client was disconnected at OutboxBytes
//	slow_consumer_dropped       a message dropped at OutboxBytes
//	volatile_dropped            a volatile message that a client missed
//
// # Watching
//
// An [Observer] is told of sessions, rooms, namespaces and events as they come and go. Without one this costs a
// comparison for each.
//
// # Several nodes
//
// An [Adapter] makes the hubs of several processes one: what a [Target] does, the other nodes do as well, unless it is
// [Target.Local], and what it collects comes from all. [Cluster] does that for hubs in one process. Messages of one
// goroutine reach other nodes in order; each node's rooms give them offsets of their own.
//
// What rooms have beside members is shared by all nodes if the adapter is a [SharedRooms]:
//
//   - A publication is the same on all nodes: its id, who sent it and when, and its seq, which counts the room's
//     publications at the node that the epoch in its meta names. So seq tells of gaps among those of one epoch; across
//     nodes the order is that of the adapter, and history's is the one in which nodes have handed publications over.
//   - An id that a publisher gives its publication counts once, on whichever node. That costs a question to the others
//     before it is sent: [Hub.Publish] waits for it, a greenlet parks. Without an answer within two seconds, and for what
//     is [Publication.Local], it is the node that judges. Of two that have judged so, the adapter sends one to the others.
//   - History, and what is retained, is what nodes have kept, each publication in one step with sending it. A join
//     through [Relay] that brings history leaves no gap and no double to the messages that follow, from whichever node they
//     come. Where what is shared is out of reach, this node answers with what it has heard, and not as complete.
//   - Who is there is told to watchers on all nodes. Those of a node that is gone without a word stay for a time that the
//     adapter has, and then have left.
//   - Prefixes, [Hub.WithRetained] and [Hub.SnapshotRooms] know what has come to this node, and what [Hub.LoadRetained] has
//     read. A join of a prefix that brings what is retained reads that.
//
// Without that, history, presence, what is retained and the ids that [Hub.Publish] has seen stay with the node.
//
// # Transports
//
// A transport implements [Conn], calls [Hub.Connect] on the loop that it has put the connection on, hands
// over events by [Session.Deliver] and answers by [Session.DeliverAck], and says [Session.Closed] when the
// client is gone. If it implements [Linked], those who watch learn how the client is connected. It registers
// one encoder per wire format ([RegisterWire], or [DeriveWire] for one that is made of another), and an [Outbox] of
// its own gives it the bounds above, and one flush per tick. A transport without sessions publishes by
// [Hub.Publish] and listens by [Hub.Tap]; it stops reading while [Hub.Saturated].
//
// # Costs
//
// A session costs one greenlet, its struct and one slot in each of its rooms; a broadcast costs one pointer
// per loop with members, and then one pointer per member. Most of it is the greenlet's stack, 2 KB or more, which a session
// has only while an event is handled if its handler is a table or [Relay]. A table of handlers costs one to two microseconds
// an event: decoding the arguments, the call by reflection, the ack. With recovery a message takes its namespace's
// lock, and some 600 bytes and twice its payload while it is kept.
package hub
