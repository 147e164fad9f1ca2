// Command memcache has a thousand greenlets ask a memcached over 16 connections. It sets the keys square:0 to square:9.
//
//	go run ./memcache -addr 127.0.0.1:11211
package main

import (
	"flag"
	"log"

	"greenroom/coop"
	"greenroom/coop/examples/drivers"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:11211", "address of the server")
	flag.Parse()
	err := coop.Run(func(g *coop.Greenlet) error {
		cache := drivers.NewMemcache(g.Loop(), *addr, 16)
		defer cache.Close()
		return drivers.Demo(g, cache)
	})
	if err != nil {
		log.Fatal(err)
	}
}
