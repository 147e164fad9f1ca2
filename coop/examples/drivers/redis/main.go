// Command redis has a thousand greenlets ask a Redis server over 16 connections. It sets the keys square:0 to square:9.
//
//	go run ./redis -addr 127.0.0.1:6379
package main

import (
	"flag"
	"log"

	"greenroom/coop"
	"greenroom/coop/examples/drivers"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "address of the server")
	flag.Parse()
	err := coop.Run(func(g *coop.Greenlet) error {
		store := drivers.NewRedis(*addr, 16)
		defer store.Close()
		return drivers.Demo(g, store)
	})
	if err != nil {
		log.Fatal(err)
	}
}
