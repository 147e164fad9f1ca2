package coophttp

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Access is one line of an access log.
type Access struct {
	Request *http.Request
	Status  int   // 0 if nothing was sent
	Bytes   int64 // of the body
	Start   time.Time
	Took    time.Duration
	Cut     bool // the response is not complete
}

// CommonLog returns a [Server].Log that writes lines in the Common Log Format. w must not block.
func CommonLog(w io.Writer) func(Access) {
	return func(a Access) {
		host, _, err := net.SplitHostPort(a.Request.RemoteAddr)
		if err != nil {
			host = "-" // a Unix socket
		}
		fmt.Fprintf(w, "%s - - [%s] %q %d %d\n", host, a.Start.Format("02/Jan/2006:15:04:05 -0700"),
			fmt.Sprintf("%s %s %s", a.Request.Method, a.Request.RequestURI, a.Request.Proto), a.Status, a.Bytes)
	}
}
