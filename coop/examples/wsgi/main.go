// Command wsgi streams its answer: each piece leaves when it is there, as a chunk.
//
//	go run ./coop/examples/wsgi [address]
//	curl --no-buffer http://127.0.0.1:8000/
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

func main() {
	address := "127.0.0.1:8000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	log.Printf("serving on http://%s/", address)
	err := coop.Run(func(g *coop.Greenlet) error {
		server := &coophttp.Server{Handler: http.HandlerFunc(application)}
		return server.ListenAndServe(g, address)
	})
	log.Fatal(err)
}

func application(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	for i, piece := range []string{"<p>Hello", "World</p>"} {
		if i > 0 && coophttp.Greenlet(r).Sleep(100*time.Millisecond) != nil {
			return // the server stops
		}
		io.WriteString(w, piece)
		w.(http.Flusher).Flush()
	}
}
