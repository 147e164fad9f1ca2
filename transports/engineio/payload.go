package engineio

import (
	"bytes"
	"encoding/base64"
)

// separator stands between the packets of a polling body. It cannot occur in a
// packet: JSON escapes control characters and base64 has none.
const separator = 0x1e

// NextPacket reads the first packet of a polling body and returns what follows
// its separator. more is false when the packet was the last one. An empty
// segment (an empty body, a doubled or trailing separator) is an error, as in
// every implementation of protocol 4.
//
// The packet's data is a part of body, or a new buffer for binary messages.
func NextPacket(body []byte) (p Packet, rest []byte, more bool, err error) {
	segment := body
	if i := bytes.IndexByte(body, separator); i >= 0 {
		segment, rest, more = body[:i], body[i+1:], true
	}
	p, err = parsePacket(segment)
	return p, rest, more, err
}

// AppendPolling appends one message to a polling body: '4' and the text, and
// each attachment as a packet of its own, 'b' and padded base64. The text may
// not contain the byte 0x1e. The caller writes the separator in front.
func AppendPolling(dst, text []byte, attachments [][]byte) []byte {
	dst = append(dst, byte(PacketMessage))
	dst = append(dst, text...)
	for _, a := range attachments {
		dst = append(dst, separator)
		dst = AppendPollingBinary(dst, a)
	}
	return dst
}

// AppendPollingBinary appends one binary message without any text.
func AppendPollingBinary(dst, data []byte) []byte {
	dst = append(dst, 'b')
	return base64.StdEncoding.AppendEncode(dst, data)
}

// pollingSize returns the bytes AppendPolling needs, to allocate them at once.
func pollingSize(text []byte, attachments [][]byte) int {
	n := 1 + len(text)
	for _, a := range attachments {
		n += 2 + base64.StdEncoding.EncodedLen(len(a))
	}
	return n
}

// decodeBase64 decodes the way Node.js does, because clients' encoders differ:
// both alphabets, any padding, and characters of neither are skipped. The
// result is a new buffer.
func decodeBase64(text []byte) []byte {
	out := make([]byte, 0, base64.RawStdEncoding.DecodedLen(len(text)))
	var acc uint32
	bits := 0
	for _, c := range text {
		if c == '=' {
			break
		}
		v := base64Value[c]
		if v < 0 {
			continue
		}
		acc = acc<<6 | uint32(v)
		if bits += 6; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out
}

// base64Value is the value of a character in either alphabet, -1 for others.
var base64Value = func() (t [256]int8) {
	const std = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte(std) {
		t[c] = int8(i)
	}
	t['-'], t['_'] = t['+'], t['/']
	return t
}()
