package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113), as far as a flood needs them.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindow       = 8
	frameContinuation = 9

	flagEndStream  = 1
	flagEndHeaders = 4
)

func frame(kind, flags byte, stream uint32, payload string) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// getHealthz is the header block of a request: three entries of HPACK's static table, and :path, :authority as they
// stand.
const getHealthz = "\x82\x87\x04\x08/healthz\x01\x09localhost"

// TestHTTP2Floods: what is known to wear out HTTP/2 servers (S24). The connection that does it is ended or held up,
// the process does not grow, and another connection is served all the while.
func TestHTTP2Floods(t *testing.T) {
	s := startTLS(t)
	resident := regexp.MustCompile(`(?m)^process_resident_memory_bytes (.*)$`)
	memory := func() int {
		_, body := s.do(t, "GET", "/metrics", "")
		m := resident.FindStringSubmatch(body)
		if m == nil {
			t.Skip("the system does not say how much memory a process has")
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	memory()
	for name, flood := range map[string]struct {
		read   bool // the client reads what it is sent
		each   func(i uint32) []byte
		most   int  // rounds
		closed bool // the server must have had enough by then
	}{
		"requests that are taken back at once": {true, func(i uint32) []byte {
			return append(frame(frameHeaders, flagEndStream|flagEndHeaders, 2*i+1, getHealthz), frame(frameReset, 0, 2*i+1, "\x00\x00\x00\x08")...)
		}, 100_000, false},
		"the same, without reading": {false, func(i uint32) []byte {
			return append(frame(frameHeaders, flagEndStream|flagEndHeaders, 2*i+1, getHealthz), frame(frameReset, 0, 2*i+1, "\x00\x00\x00\x08")...)
		}, 1_000_000, false},
		"headers without an end": {true, func(i uint32) []byte {
			if i == 0 {
				return frame(frameHeaders, flagEndStream, 1, getHealthz)
			}
			return frame(frameContinuation, 0, 1, "\x00\x0aflood-name\x01x")
		}, 1_000_000, true},
		"large headers without an end": {true, func(i uint32) []byte {
			if i == 0 {
				return frame(frameHeaders, flagEndStream, 1, getHealthz)
			}
			return frame(frameContinuation, 0, 1, "\x00\x0aflood-name\x7f\x81\x1d"+strings.Repeat("x", 3840))
		}, 100_000, true},
		"settings, without reading": {false, func(uint32) []byte { return frame(frameSettings, 0, 0, "") }, 1_000_000, false},
		"pings, without reading":    {false, func(uint32) []byte { return frame(framePing, 0, 0, "12345678") }, 1_000_000, true},
		"windows that overflow":     {true, func(uint32) []byte { return frame(frameWindow, 0, 0, "\x7f\xff\xff\xff") }, 100, true},
		"data for no request":       {true, func(uint32) []byte { return frame(frameData, 0, 1, "x") }, 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := memory()
			c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.authority.Pool, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(60 * time.Second))
			done := make(chan error, 1)
			if flood.read {
				go func() { _, err := io.Copy(io.Discard, c); done <- err }()
			}
			w := bufio.NewWriterSize(c, 16<<10)
			_, err = w.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			_, _ = w.Write(frame(frameSettings, 0, 0, ""))
			for i := uint32(0); err == nil && int(i) < flood.most; i++ {
				if i%1000 == 999 {
					if code, _ := s.do(t, "GET", "/healthz", ""); code != 200 {
						t.Errorf("another is answered %d", code)
					}
					_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
				}
				_, err = w.Write(flood.each(i))
			}
			if err == nil {
				err = w.Flush()
			}
			switch {
			case !flood.closed:
			case flood.read:
				select {
				case <-done:
				case <-time.After(30 * time.Second):
					t.Error("the connection is still open")
				}
			case err == nil:
				t.Error("it took all that")
			}
			if grown := memory() - before; grown > 64<<20 {
				t.Errorf("the process has grown by %d bytes", grown)
			}
			if code, _ := s.do(t, "GET", "/healthz", ""); code != 200 {
				t.Errorf("afterwards another is answered %d", code)
			}
		})
	}
}

// TestHTTP2Streams: as many requests at once as the server has said, and no more.
func TestHTTP2Streams(t *testing.T) {
	s := startTLS(t)
	c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.authority.Pool, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(frame(frameSettings, 0, 0, ""))); err != nil {
		t.Fatal(err)
	}
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(c, settings); err != nil || head[3] != frameSettings {
		t.Fatalf("frame %d, %v", head[3], err)
	}
	if !bytes.Contains(settings, binary.BigEndian.AppendUint32([]byte{0, 3}, http2Streams)) { // SETTINGS_MAX_CONCURRENT_STREAMS
		t.Errorf("its settings: %x", settings)
	}
}
