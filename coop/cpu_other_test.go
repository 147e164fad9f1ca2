//go:build !unix

package coop_test

func cpuTime() int64 { return 0 }
