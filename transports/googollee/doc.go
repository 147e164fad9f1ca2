// Package googollee is the API of github.com/googollee/go-socket.io on Greenroom's engine, so that a program
// written for that library, which is archived and speaks to clients of 1.x and 2.x alone, goes on as it is and
// serves those of 1.x to 4.x. It changes one import:
//
//	import (
//		"github.com/googollee/go-socket.io/engineio" // stays: Options, transports
//		"github.com/googollee/go-socket.io/parser"   // stays: parser.Buffer
//
//		socketio "greenroom/transports/googollee" // was "github.com/googollee/go-socket.io"
//	)
//
//	server := socketio.NewServer(nil)
//	server.OnConnect("/", func(s socketio.Conn) error { s.Join("lobby"); return nil })
//	server.OnEvent("/", "say", func(s socketio.Conn, text string) string {
//		server.BroadcastToRoom("/", "lobby", "said", s.ID(), text)
//		return "heard"
//	})
//	go server.Serve()
//	defer server.Close()
//	http.Handle("/socket.io/", server)
//
// [Conn] is that library's own interface, so that functions written against either import fit.
// [NewServerOn] puts the server on a hub of the caller's: its rooms are then those of the hub, and what ZeroMQ
// publishers send, or straight-line sessions in other namespaces do, meets them.
//
// # Where it runs
//
// Every session has a greenlet, as everywhere in Greenroom. The functions of the application run on goroutines,
// one at a time for each [Conn]: they may block, as they always might, and hold up nobody but
// their own client's next event. Methods of [Server] and [Conn] may be called from any goroutine.
//
// # What is different
//
// These are the differences that a program can notice; each was a fault or had no use:
//
//   - Session ids cannot be guessed. A SessionIDGenerator is used if it is not the library's own counter, for
//     the connection; [Conn].ID is the id that the client knows, one for each namespace.
//   - An argument of the wrong type goes to OnError and is answered with an error; the connection lives. So does
//     one whose handler panics. A panic of OnError or OnDisconnect is logged.
//   - Every event whose sender waits for an answer gets one: results, an empty one if the handler has none, an
//     error for an event that nobody handles.
//   - BroadcastToNamespace reaches each connection once, not once for each of its rooms.
//   - A namespace that does not exist is refused, and the connection stays. Nobody waits for a client that does
//     not read; what waits for it is bounded, see package hub.
//   - OnDisconnect is called once for each connection, with the reason as Node.js names it. Its rooms have been
//     left by then, as before.
//   - [Server.Serve] need not run for clients to be served. It returns when the server is closed.
//   - A handler of the wrong shape is logged and returned by Serve, instead of a panic.
//   - Other origins are refused, unless a transport's CheckOrigin lets them in.
//
// Its Redis adapter speaks a format of its own that nothing else does; [Server.Adapter] returns
// [ErrNoAdapter].
package googollee
