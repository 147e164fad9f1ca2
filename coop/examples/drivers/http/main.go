// Command http has a thousand greenlets ask a web server over 16 connections. With -serve it is that server, of
// net/http.
//
//	go run ./http -serve &
//	go run ./http
package main

import (
	"flag"
	"log"
	"net/http"

	"greenroom/coop"
	"greenroom/coop/examples/drivers"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8089", "address of the server")
	serve := flag.Bool("serve", false, "be the server")
	flag.Parse()
	if *serve {
		log.Fatal(http.ListenAndServe(*addr, http.HandlerFunc(drivers.Handler)))
	}
	err := coop.Run(func(g *coop.Greenlet) error {
		web := drivers.NewHTTP(g.Loop(), "http://"+*addr+"/", 16)
		defer web.Close()
		return drivers.Demo(g, web)
	})
	if err != nil {
		log.Fatal(err)
	}
}
