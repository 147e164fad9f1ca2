//go:build !unix

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "zeromq reads getrusage: it runs on Unix only")
	os.Exit(2)
}
