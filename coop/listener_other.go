//go:build !unix

package coop

import "net"

func setBacklog(net.Listener, int) error { return nil }
