package web_test

import (
	"fmt"
	"net/http"

	"greenroom/web"
)

// The demo and the client bundles beside a Socket.IO endpoint: files of the client go to Client, the
// rest of /socket.io/ to the engine.
func Example() {
	engine := http.NotFoundHandler() // socketio.New(…)
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		if web.IsClient(r.URL.Path) {
			web.Client().ServeHTTP(w, r)
			return
		}
		engine.ServeHTTP(w, r)
	})

	fmt.Println(web.IsClient("/socket.io/socket.io.min.js"), web.IsClient("/socket.io/"))
	// Output: true false
}
