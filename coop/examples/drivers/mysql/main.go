// Command mysql has a thousand greenlets query a MySQL or MariaDB server over 16 connections. It replaces the table
// "squares".
//
//	go run ./mysql -dsn 'user:password@tcp(127.0.0.1:3306)/test?interpolateParams=true'
package main

import (
	"flag"
	"log"

	"greenroom/coop"
	"greenroom/coop/examples/drivers"
)

func main() {
	dsn := flag.String("dsn", "root@tcp(127.0.0.1:3306)/test?interpolateParams=true", "address of the database")
	flag.Parse()
	err := coop.Run(func(g *coop.Greenlet) error {
		db, err := drivers.OpenMySQL(*dsn, 16)
		if err != nil {
			return err
		}
		defer db.Close()
		return drivers.Demo(g, db)
	})
	if err != nil {
		log.Fatal(err)
	}
}
