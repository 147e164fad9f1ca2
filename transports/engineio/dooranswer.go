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

// doorAnswer is the [http.ResponseWriter] of a handshake at the door, and gathers what is to be sent. One goroutine at
// a time.
type doorAnswer struct {
	loop    *coop.Loop
	header  http.Header
	status  int
	body    []byte
	raw     []byte  // what was written after Hijack
	socket  *wsConn // what the connection becomes
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

// Write implements [http.ResponseWriter].
func (a *doorAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

// bytes is the answer as net/http would send it.
func (a *doorAnswer) bytes() []byte {
	if a.raw != nil {
		return a.raw
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + http.StatusText(a.status) + "\r\n")
	_ = a.header.Write(&b) // a buffer takes all
	b.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n\r\n")
	b.Write(a.body)
	return b.Bytes()
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
