// Command httpserver says Hello World! over HTTP, each connection in a greenlet.
//
//	go run ./coop/examples/httpserver [address]
//	curl http://127.0.0.1:8088/
package main

import (
	"io"
	"log"
	"net/http"
	"os"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

func main() {
	address := "127.0.0.1:8088"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	log.Printf("serving on http://%s/", address)
	err := coop.Run(func(g *coop.Greenlet) error {
		server := &coophttp.Server{Handler: http.HandlerFunc(hello)}
		return server.ListenAndServe(g, address)
	})
	log.Fatal(err)
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path != "/" {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "Not Found")
		return
	}
	io.WriteString(w, "Hello World!")
}
