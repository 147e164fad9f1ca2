// Package web carries what a Greenroom server shows to browsers: the chat demo at / and the official
// Socket.IO client at /socket.io/socket.io.js and its sisters.
//
// The files come from web/dist, which `npm ci && npm run build` writes and go:embed takes into the
// binary. A binary that was built without them works all the same; the two handlers then say in plain
// words what to do, and [Built] reports it.
//
//	mux.Handle("/", web.Handler())
//	if web.IsClient(r.URL.Path) { web.Client().ServeHTTP(w, r) } // before the Socket.IO server
//
// Only embedded files are ever served: no path of a request reaches a file system. Both handlers may
// be called from any goroutine; they hold no state but the files, read once.
package web
