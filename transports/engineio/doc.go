// Package engineio serves Engine.IO protocol 4, the layer below Socket.IO that
// carries messages over HTTP long-polling or WebSocket and moves a session from
// the first to the second while it is in use.
//
// A [Server] is an [net/http.Handler]. Requests arrive on net/http's goroutines; the
// session itself, a [Socket], lives on one of the hub's loops. A poll posts to
// that loop and waits for the answer. A WebSocket is taken over from net/http and
// given to the loop as a stream: from then on it costs no goroutine and no
// buffer. The loop reads into its one shared buffer, and the session keeps a copy
// only of a frame that has not arrived in full.
//
// # Who may do what
//
// All of a Socket's state belongs to its loop. Methods that may be called from
// other goroutines say so. A [Handler]'s methods run on the loop.
//
// # Limits
//
// Everything that a client sends is bounded: the size of messages, bodies and
// fragments, the time of an upload, an upgrade, an unfinished message and a
// close, the number of sessions and of sessions that have not spoken yet, the
// rate of WebSocket pings. Each refusal is counted in the hub's counters under a
// name that starts with "engineio_".
//
// What a client does not fetch or read waits in a [greenroom/hub.Outbox], which is
// bounded as well.
//
// # Differences from the Node.js server
//
// An unparsable POST is answered 400 instead of 200. A close packet closes a
// WebSocket session at once. During an upgrade a waiting poll is released
// immediately instead of within 100 ms. A WebSocket for a session is refused when
// upgrades are switched off. Handshakes from a foreign origin are refused unless
// [CORS] allows them. JSONP does not exist. Messages must be valid UTF-8.
package engineio
