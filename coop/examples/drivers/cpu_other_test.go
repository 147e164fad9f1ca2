//go:build !unix

package drivers

func cpuTime() int64 { return 0 }
