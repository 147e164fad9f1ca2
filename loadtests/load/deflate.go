package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// An inflater undoes permessage-deflate (RFC 7692) for one client.
type inflater struct {
	run      *run
	takeover bool   // messages refer to earlier ones
	window   []byte // the last of them
}

// deflateWindow is how far back a message can refer.
const deflateWindow = 32 << 10

// flateTail ends a message: the bytes that the sender left out, and an empty last block.
var flateTail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// newInflater reads the server's answer to our offer, and returns nil if nothing will be compressed.
func newInflater(headers []string, r *run) (*inflater, error) {
	var found *inflater
	for _, h := range headers {
		options, ok := httphead.ParseOptions([]byte(h), nil)
		if !ok {
			return nil, fmt.Errorf("websocket handshake: extensions that cannot be read: %.100q", h)
		}
		for _, o := range options {
			if string(o.Name) != wsflate.ExtensionName || !r.plan.Deflate || found != nil {
				return nil, fmt.Errorf("websocket handshake: the server uses an extension that was not offered: %.100q", h)
			}
			_, without := o.Parameters.Get("server_no_context_takeover")
			found = &inflater{run: r, takeover: !without}
		}
	}
	return found, nil
}

// flateMemory is what a run's inflaters share: they work one at a time.
type flateMemory struct {
	r   io.ReadCloser
	in  bytes.Reader
	out bytes.Buffer

	// A server that compresses a broadcast once sends the same bytes to everybody.
	known map[string][]byte
}

// maxKnown bounds what is remembered of such messages.
const maxKnown = 64

// inflate returns a message's payload, which is valid until the next call.
func (f *inflater) inflate(p []byte) ([]byte, error) {
	if f == nil {
		return nil, errors.New("a compressed frame, although nothing was agreed on")
	}
	m := &f.run.flate
	if !f.takeover {
		if text, ok := m.known[string(p)]; ok {
			return text, nil
		}
	}
	text, err := m.inflate(p, f.window)
	if err != nil {
		return nil, fmt.Errorf("a compressed frame that cannot be inflated: %w", err)
	}
	f.run.inflated++
	if f.takeover {
		f.window = append(f.window, text...)
		if over := len(f.window) - deflateWindow; over > 0 {
			f.window = append(f.window[:0], f.window[over:]...)
		}
		return text, nil
	}
	if m.known == nil || len(m.known) >= maxKnown {
		m.known = make(map[string][]byte, maxKnown)
	}
	kept := bytes.Clone(text)
	m.known[string(p)] = kept
	return kept, nil
}

func (m *flateMemory) inflate(p, window []byte) ([]byte, error) {
	m.in.Reset(p)
	in := io.MultiReader(&m.in, bytes.NewReader(flateTail))
	if m.r == nil {
		m.r = flate.NewReaderDict(in, window)
	} else if err := m.r.(flate.Resetter).Reset(in, window); err != nil {
		return nil, err
	}
	m.out.Reset()
	n, err := io.Copy(&m.out, io.LimitReader(m.r, maxFrame+1))
	if n > maxFrame {
		return nil, fmt.Errorf("it holds more than %d bytes", maxFrame)
	}
	return m.out.Bytes(), err
}
