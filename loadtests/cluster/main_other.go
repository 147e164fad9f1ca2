//go:build !unix

// Command cluster is for Unix.
package main

func main() { println("loadtests/cluster runs on Unix") }
