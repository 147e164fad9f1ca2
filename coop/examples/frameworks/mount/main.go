// Command mount serves Socket.IO under the routes of a web framework, behind its middleware: at /socket.io/,
// and once more below a path prefix, at /live/socket.io/.
//
//	go run ./mount [-framework nethttp|chi|gin|echo] [-listen 127.0.0.1:3000]
package main

import (
	"flag"
	"log"
	"net/http"

	"greenroom/hub"
	"greenroom/transports/socketio"
)

// frameworks are the ways to mount the two servers. seen is called by a middleware, with every request's path.
var frameworks = map[string]func(io, live http.Handler, seen func(path string)) http.Handler{
	"nethttp": onServeMux,
	"chi":     onChi,
	"gin":     onGin,
	"echo":    onEcho,
}

func main() {
	name := flag.String("framework", "nethttp", "nethttp, chi, gin or echo")
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	flag.Parse()
	routes := frameworks[*name]
	if routes == nil {
		log.Fatalf("no framework %q: nethttp, chi, gin or echo", *name)
	}
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		log.Fatal(err)
	}
	io, live := servers(h, socketio.Options{})
	log.Printf("%s on http://%s/", *name, *listen)
	log.Fatal(http.ListenAndServe(*listen, routes(io, live, func(string) {})))
}

// servers makes two servers for the clients of one hub. The second knows the prefix under which it is mounted, for
// frameworks that leave a request's path as it is.
func servers(h *hub.Hub, o socketio.Options) (io, live *socketio.Server) {
	io = socketio.New(h, o)
	o.Engine.Path = "/live/socket.io/"
	return io, socketio.New(h, o)
}
