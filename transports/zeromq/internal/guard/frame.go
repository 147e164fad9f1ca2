package guard

import "encoding/binary"

// Flag bits of a frame's first byte; the others are reserved and zero.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

// header is a parsed frame header.
type header struct {
	flags byte
	len   int    // of the header itself: 2 or 9
	size  uint64 // of the body
}

// parseHeader reads the header at the start of b; ok is false while b is too short.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < 2 {
		return h, false
	}
	if b[0]&flagLong == 0 {
		return header{b[0], 2, uint64(b[1])}, true
	}
	if len(b) < 9 {
		return h, false
	}
	return header{b[0], 9, binary.BigEndian.Uint64(b[1:])}, true
}

// AppendFrame appends one frame of a message in ZMTP framing.
func AppendFrame(dst, body []byte, more bool) []byte {
	return append(AppendHeader(dst, len(body), more), body...)
}

// AppendStringFrame is AppendFrame for a string.
func AppendStringFrame(dst []byte, body string, more bool) []byte {
	return append(AppendHeader(dst, len(body), more), body...)
}

// AppendHeader appends the head of a frame of size bytes, which the caller appends.
func AppendHeader(dst []byte, size int, more bool) []byte {
	flags := byte(0)
	if more {
		flags = flagMore
	}
	if size > 255 {
		return binary.BigEndian.AppendUint64(append(dst, flags|flagLong), uint64(size))
	}
	return append(dst, flags, byte(size))
}
