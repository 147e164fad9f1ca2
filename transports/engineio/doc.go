// Package engineio serves Engine.IO protocol 4, and 3 on request, the layer below Socket.IO that
// carries messages over HTTP long-polling or WebSocket and moves a session from
// the first to the second while it is in use.
//
// # Use
//
// A [Server] is a [net/http.Handler]. It is made for a hub, on whose loops its
// sessions live, with a function that makes the handler of each new session:
//
//	srv := engineio.New(h, engineio.Options{Path: "/engine.io/", Wires: wires},
//		func(s *engineio.Socket) engineio.Handler { return &client{} })
//	http.Handle("/engine.io/", srv)
//
// A [Handler] is told of messages and of the end; a [Socket] sends:
//
//	func (c *client) OnMessage(s *engineio.Socket, data []byte, binary bool) {
//		s.SendText(bytes.Clone(data))
//	}
//	func (c *client) OnClose(s *engineio.Socket, reason string) {}
//
// Wires names the formats that frames are encoded in. Whoever speaks a
// protocol inside the messages registers them once per program with
// [greenroom/hub.RegisterWire], so that a room's message is encoded once for all
// its WebSockets and once for all its polls; the example shows the least that is
// needed. Socket.IO is package [greenroom/transports/socketio], which most programs
// want instead of this one.
//
// The HTTP server in front should set ReadHeaderTimeout, IdleTimeout and
// MaxHeaderBytes. It needs no ReadTimeout or WriteTimeout: both would cut waiting
// polls, and bodies and answers have a bound here. Middlewares may wrap the
// ResponseWriter; one that has neither Flush nor Unwrap hides failed writes, and
// one without Hijack makes WebSockets impossible.
//
// Over TLS, net/http's server gets its connections through [greenroom/coop.Detachable]:
//
//	server.ServeTLS(coop.Detachable(listener), "cert.pem", "key.pem")
//
// WebSockets then live on the loops as they do without TLS; otherwise each costs two
// goroutines and their buffers. HTTP/2 serves polls like any other request, and a
// browser opens a connection with HTTP/1.1 for its WebSocket.
//
// A server for this machine alone, on loopback, should be told its [Options].Hosts,
// the names of loopback: a page may have its own name resolve to 127.0.0.1, and its
// origin is then the server's own. One behind a reverse proxy should be told its
// TrustedProxies, or it takes the proxy for the one client that there is.
//
// What applications of the Node.js server do at io.engine has its place in the
// Options: AllowRequest, GenerateID, Cookie, CORS, HTTPCompression, InitialPacket, and
// the events OnConnectionError, OnInitialHeaders and OnHeaders. HTTP middlewares are
// added by [Server.Use].
//
// To stop, call [Server.Close] before the hub's Close, and shut the HTTP server
// down after it: waiting polls keep their connections until they are answered.
//
// Without TLS, a listener wrapped by [Server.Listener] has handshakes of WebSockets served on
// the loops, which takes less time and leaves less garbage behind; the HTTP server does
// not see them.
//
// # Who may do what
//
// Requests arrive on net/http's goroutines; a session lives on one loop. A poll
// posts to that loop and waits for the answer. A WebSocket is taken over from
// net/http and given to the loop as a stream: from then on it costs no goroutine
// and no buffer. The loop reads into its one shared buffer, and the session keeps
// a copy only of a frame that has not arrived in full.
//
// All of a Socket's state belongs to its loop. Methods that may be called from
// other goroutines say so; everything else is called there only, from a handler's
// methods or through [greenroom/coop.Loop.Post]. A handler's methods must not
// block. Data given to OnMessage is valid during the call, data given to
// SendText and SendBinary is kept.
//
// # What is promised
//
// Messages arrive in the order in which they were sent, each at most once, in
// both directions and over an upgrade. What was sent before [Socket.Close] still
// leaves. An answer to a poll that cannot be delivered ends the session: a
// session that goes on has lost nothing. OnClose comes exactly once, and no
// OnMessage after it.
//
// [Socket.Pause] holds a client up that sends faster than its messages are used:
// its WebSocket is not read, its POST not answered, and TCP does the rest. Pings
// go on, and no silence is held against the client meanwhile.
//
// # Upgrades
//
// A polling client opens a WebSocket with its session's id, sends "2probe", gets
// "3probe", waits for its poll to end, and sends "5". The waiting poll is released
// at the probe. A POST still on its way is processed before the frames behind the
// "5". Anything else on that WebSocket, its end, or [Options].UpgradeTimeout ends the
// try, and the session goes on polling. One try at a time: a second WebSocket for
// the same session is answered with a close frame.
//
// # Protocol 3
//
// Clients of Socket.IO 1.x and 2.x speak Engine.IO protocol 3. With [Options].AllowEIO3 they are served on the
// same path, by sessions of the same kind; [Socket.Protocol] tells them apart. A request that does not say EIO=4
// is one of theirs, and none for a session of the other protocol. What differs on the wire:
//
//   - The client sends a ping each PingInterval, the server a pong; one from the client ends the session. A
//     client that is silent for PingInterval and PingTimeout is gone; other packets than pings prolong that once.
//     While a session is paused its client gets pongs that it has not asked for.
//   - Polling bodies have packets with their lengths, in UTF-16 code units as text, in bytes as binary. The
//     answer to a poll is binary when a packet of it is, except for clients that ask for base64 (b64=1).
//   - The first byte of a binary WebSocket frame is 4.
//   - JSONP (j=…): the answer to a poll is a script, a POST is a form. Other sites can load a script without
//     saying who they are, but by Sec-Fetch-Site, which only browsers of this day send; who has to fear pages
//     of other sites in older ones must not rely on cookies.
//
// Clients of Socket.IO 1.x encode the text of polling bodies twice, and nothing tells them from those of 2.x. As with
// the Node.js server, what they send beyond ASCII over polling arrives as other characters, and what is sent to them
// may break their connection. On a WebSocket there is no such trouble.
//
// # Compression
//
// With [Options].PerMessageDeflate set, WebSocket clients that offer
// permessage-deflate (RFC 7692), as browsers do, have messages compressed that
// are long enough. Every message is compressed by itself: no context is taken
// over, by either side. So a frame is compressed once for all its receivers, on
// top of the wire that it is encoded in, and a connection keeps no window. It is
// worth it where bandwidth is short; [greenroom/hub.Target.Compress] and
// [greenroom/hub.Message].NoCompress leave out what is compressed already. An
// offer that asks for a smaller window of the server's is declined.
//
// What clients compress is inflated up to MaxPayload, and not a byte further.
// A message takes the time of its loop only if that is little; a large one is
// inflated on a goroutine, of which few run at a time, while its connection waits.
//
// # Errors
//
// A request that is refused is answered with the status, code and message of the
// Node.js server, for example 400 and {"code":1,"message":"Session ID unknown"}; one
// that asks for a WebSocket, with 400 and the bare message. A WebSocket is closed
// with a status and a few words: 1002 when it breaks RFC 6455 or a packet makes no
// sense, 1007 for text that is not UTF-8 and malformed compressed data, 1009 for a message over the limit, 1008
// for everything that is too much or too late: a flood, a message that is never
// finished, no pong, a client that does not read. Protocols above do the same with
// [Socket.Refuse]. Official clients show both in the details of their "transport
// close".
//
// Each refusal is counted, and logged at debug level with the client's address.
//
// # Limits
//
// Everything that a client sends is bounded: the size of messages, bodies and
// fragments, the time of an upload, an upgrade, an unfinished message and a
// close, the number of sessions and of sessions that have not spoken yet, the
// rate of WebSocket pings and of handshakes ([Options].HandshakeRate for all,
// AddressHandshakeRate for one address, of which 65 536 are counted). At the bound of
// those that have not spoken the oldest is closed for a newcomer, so that nobody is
// locked out by a flood of handshakes; the log says so, once a minute. What a client
// does not fetch or read waits in a [greenroom/hub.Outbox], which is bounded as well.
// A body, or a message in parts, takes memory as it arrives and not as it is announced;
// so the worst that clients can make a server hold is [Options].MaxPayload for each
// session, twice that when its compressed messages are inflated.
//
// The hub's counters have each refusal under a name that starts with "engineio_"; a
// full outbox under "slow_consumer_disconnected".
//
// # Differences from the Node.js server
//
// An unparsable POST is answered 400 instead of 200, and every 400 and 413 has a
// JSON body. WebSockets are closed with a status. A close packet closes a
// WebSocket session at once. During an upgrade a waiting poll is released
// immediately instead of within 100 ms. A WebSocket for a session is refused when
// upgrades are switched off. Handshakes from a foreign origin are refused unless
// [CORS] allows them, and so are those without an origin that a browser sends for
// another site (Sec-Fetch-Site). A GET with a body is refused. JSONP is for
// protocol 3 only. Messages must be valid UTF-8. A polling body of protocol 3 whose lengths are not lengths is
// refused where JavaScript would make something of it, and of more than 64 pings that wait for their pongs the rest
// gets one. A middleware that fails answers the request itself: there is no
// error of code 3 for it. A pattern of [CORS] has to match an origin as a whole. What
// is not under the path is answered 404 at once, upgrades included.
package engineio
