//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// crypto/tls keeps the buffers into which it has read the handshake and the largest record for as long as the
// connection lives: of an idle connection that is 3 KB of 7, and after a large message 26 of 30. Its authors keep
// them to read on at once, and give no way to let go of them; with a hundred thousand idle sessions they are most of
// what the process holds. So this reaches in. What it finds there is checked when the program starts: should another
// version of Go call it otherwise, the memory is kept and nothing breaks.

// keptSlack is how many bytes an empty buffer may hold: enough for small records, with what crypto/tls reads ahead.
const keptSlack = 1 << 10

// slackAt is where in a tls.Conn its buffers are.
var slackAt = func() (at []uintptr) {
	for _, name := range []string{"rawInput", "hand"} {
		f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
		if ok && f.Type == reflect.TypeFor[bytes.Buffer]() {
			at = append(at, f.Offset)
		}
	}
	return at
}()

// dropSlack lets go of c's buffers, if they are large and empty. Nobody may be in a call of c's.
func dropSlack(c *tls.Conn) {
	for _, at := range slackAt {
		if b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), at)); b.Len() == 0 && b.Cap() > keptSlack {
			*b = bytes.Buffer{}
		}
	}
}
