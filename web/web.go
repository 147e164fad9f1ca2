package web

import (
	"embed"
	"io/fs"
	"net/http"
	"sync"
)

//go:embed all:dist
var dist embed.FS

var site = sync.OnceValue(func() *files {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		return &files{} // cannot happen: the name is constant and valid
	}
	return load(root)
})

// Built reports whether this binary carries the chat demo and the client bundles.
func Built() bool { return site().built() }

// Handler serves the chat demo at /. Names that hold a hash of their content are cached by browsers for
// good, everything else is revalidated by ETag. Not built: 503 and a page that says how to build.
func Handler() http.Handler { return http.HandlerFunc(site().servePage) }

// Client serves the official client's bundles by the last element of the request's path, as the Node.js
// server does: socket.io.js, socket.io.min.js, socket.io.esm.min.js, socket.io.msgpack.min.js and their
// source maps, with the client's version as ETag. Any other name is 404, see [IsClient]. Not built: 503
// and a text that says how to build.
func Client() http.Handler { return http.HandlerFunc(site().serveClient) }
