//go:build !unix

package coophttp_test

func cpu() int64 { return 0 }
