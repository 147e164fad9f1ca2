// Package gid tells goroutines apart. The runtime has no public name for "me"; what it has is the
// address of the goroutine's descriptor, which never moves and is given to another goroutine only after
// this one has ended. On amd64 and arm64 that is one instruction in assembly, elsewhere the number in
// the head of a stack trace has to do.
//
// It is there for one purpose: a method without a greenlet among its parameters, such as a
// net.Conn's Read, has to know whether a greenlet calls it. Nothing should be kept under this key.
package gid
