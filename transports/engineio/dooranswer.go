package engineio

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"greenroom/coop"
)

// doorAnswer is the [http.ResponseWriter] of a request at the door, and gathers what is to be sent. One goroutine at
// a time.
type doorAnswer struct {
	loop    *coop.Loop
	header  http.Header
	status  int
	body    []byte
	raw     []byte  // what was written after Hijack
	guest   *guest  // whose request it is
	socket  *wsConn // what the connection becomes
	opened  *Socket // the session that begins by polling
	aborted bool    // a function of the application's has panicked
}

// Header implements [http.ResponseWriter].
func (a *doorAnswer) Header() http.Header {
	if a.header == nil {
		a.header = make(http.Header)
	}
	return a.header
}

// WriteHeader implements [http.ResponseWriter].
func (a *doorAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter]. It keeps p: all that is answered is made for that answer, and written at once.
func (a *doorAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body == nil {
		a.body = p
	} else {
		a.body = append(a.body[:len(a.body):len(a.body)], p...)
	}
	return len(p), nil
}

// reset makes a ready for another answer.
func (a *doorAnswer) reset() {
	clear(a.header)
	a.status, a.body = 0, nil
}

// orphaned ends the session that there is, because its loop has ended.
func (a *doorAnswer) orphaned() {
	switch {
	case a.socket != nil:
		a.socket.s.orphaned()
	case a.opened != nil:
		a.opened.orphaned()
	}
}

// SetWriteDeadline is asked for by way of [http.ResponseController]; the guest bounds what it writes by itself.
func (a *doorAnswer) SetWriteDeadline(time.Time) error { return nil }

// FlushError is the same: the answer leaves when it is complete.
func (a *doorAnswer) FlushError() error { return nil }

// closes reports whether the handler wants the connection to end behind the answer.
func (a *doorAnswer) closes() bool { return hasToken(a.header["Connection"], "close") }

// bytes is the answer as net/http would send it.
func (a *doorAnswer) bytes() []byte {
	if a.raw != nil {
		return a.raw
	}
	var b bytes.Buffer
	a.write(&b, false)
	return b.Bytes()
}

// write writes the answer to b; ends, that it is the connection's last.
func (a *doorAnswer) write(b *bytes.Buffer, ends bool) {
	if a.status == http.StatusOK {
		b.WriteString("HTTP/1.1 200 OK\r\n")
	} else {
		b.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + http.StatusText(a.status) + "\r\n")
	}
	_ = a.header.Write(b) // a buffer takes all
	b.WriteString("Date: ")
	b.Write(time.Now().UTC().AppendFormat(b.AvailableBuffer(), http.TimeFormat))
	b.WriteString("\r\n")
	if ends && !a.closes() {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	b.Write(a.body)
}

// upgradeBuffers are the buffers of WebSocket handshakes; what they hold goes into a doorAnswer.
var upgradeBuffers = sync.Pool{New: func() any {
	return bufio.NewReadWriter(bufio.NewReaderSize(doorConn{}, 16), bufio.NewWriterSize(nil, 512))
}}

// Hijack implements [http.Hijacker], for the WebSocket library. doorConn.release takes the buffers back.
func (a *doorAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rw := upgradeBuffers.Get().(*bufio.ReadWriter)
	c := doorConn{a, rw}
	rw.Writer.Reset(c)
	return c, rw, nil
}

// doorConn is the [net.Conn] of a doorAnswer. There is nothing to read, and it writes down what is to be sent.
type doorConn struct {
	a  *doorAnswer
	rw *bufio.ReadWriter
}

func (c doorConn) release() {
	c.rw.Writer.Reset(nil)
	upgradeBuffers.Put(c.rw)
}

func (c doorConn) Write(p []byte) (int, error) {
	c.a.raw = append(c.a.raw, p...)
	return len(p), nil
}

func (doorConn) Read([]byte) (int, error)         { return 0, io.EOF }
func (doorConn) Close() error                     { return nil }
func (doorConn) LocalAddr() net.Addr              { return nil }
func (doorConn) RemoteAddr() net.Addr             { return nil }
func (doorConn) SetDeadline(time.Time) error      { return nil }
func (doorConn) SetReadDeadline(time.Time) error  { return nil }
func (doorConn) SetWriteDeadline(time.Time) error { return nil }
