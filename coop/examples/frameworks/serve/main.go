// Command serve runs a web framework's handlers in greenlets, on coop's HTTP server.
//
//	go run ./serve [-framework nethttp|chi|gin|echo] [-listen 127.0.0.1:8088]
//	curl http://127.0.0.1:8088/hello/Ann
//	curl -d '{"numbers": [1, 2, 3]}' -H 'Content-Type: application/json' http://127.0.0.1:8088/sum
//	curl -N http://127.0.0.1:8088/ticks/5
//	curl -N http://127.0.0.1:8088/wait     and elsewhere: curl -d '' http://127.0.0.1:8088/open
//	curl http://127.0.0.1:8088/report/7    and /await/7, /panic
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// frameworks have the same routes each.
var frameworks = map[string]func(*app) http.Handler{
	"nethttp": serveMux,
	"chi":     chiRouter,
	"gin":     ginEngine,
	"echo":    echoServer,
}

func main() {
	name := flag.String("framework", "nethttp", "nethttp, chi, gin or echo")
	listen := flag.String("listen", "127.0.0.1:8088", "address to listen on")
	flag.Parse()
	routes := frameworks[*name]
	if routes == nil {
		log.Fatalf("no framework %q: nethttp, chi, gin or echo", *name)
	}
	log.Printf("%s on http://%s/", *name, *listen)
	log.Fatal(coop.Run(func(g *coop.Greenlet) error {
		server := &coophttp.Server{Handler: routes(&app{report: slowReport})}
		return server.ListenAndServe(g, *listen)
	}))
}

// slowReport blocks as a database's driver does.
func slowReport(id string) string {
	time.Sleep(100 * time.Millisecond)
	return "report " + id
}
