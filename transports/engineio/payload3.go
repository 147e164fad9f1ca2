package engineio

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// The polling bodies of protocol 3. Packets as text are
//
//	<length>:<packet> …
//
// with the length in UTF-16 code units, as JavaScript counts a string; a binary message is 'b', its packet type
// and base64. A body that holds binary packets is, unless the client cannot take it, binary itself:
//
//	<0 for text, 1 for binary><the length, one byte per decimal digit>255<packet> …
//
// with the length in bytes; a binary packet begins with its type as a number and not as a digit.

// A length of more digits than maxLengthDigits is longer than any body.
const (
	maxLengthDigits = 9
	textMark        = 0
	binaryMark      = 1
	lengthEnd       = 0xff
)

// NextPacket3 reads the first packet of a body of protocol 3 in its text form and returns what follows. Empty
// packets are skipped, as in every implementation; when only such were left, p.Type is 0. An empty body is an
// error, and so is a length that does not end between two characters.
//
// The packet's data is a part of body, or a new buffer for binary messages.
func NextPacket3(body []byte) (p Packet, rest []byte, err error) {
	if len(body) == 0 {
		return Packet{}, nil, errEmptyPacket
	}
	for len(body) > 0 {
		units, after, ok := textLength(body)
		if !ok {
			return Packet{}, nil, errPacketLength
		}
		size, ok := bytesOfUnits(after, units)
		if !ok {
			return Packet{}, nil, errPacketLength
		}
		if size > 0 {
			p, err = parsePacket3(after[:size])
			return p, after[size:], err
		}
		body = after
	}
	return Packet{}, nil, nil
}

// textLength reads "<digits>:".
func textLength(body []byte) (n int, rest []byte, ok bool) {
	i := 0
	for ; i < len(body) && i < maxLengthDigits && body[i] >= '0' && body[i] <= '9'; i++ {
		n = n*10 + int(body[i]-'0')
	}
	if i == 0 || i == len(body) || body[i] != ':' {
		return 0, nil, false
	}
	return n, body[i+1:], true
}

// NextBinaryPacket3 is [NextPacket3] for a body in its binary form, which has no empty packets.
func NextBinaryPacket3(body []byte) (p Packet, rest []byte, err error) {
	mark, data, rest, err := nextOctets(body)
	switch {
	case err != nil:
		return Packet{}, nil, err
	case mark == binaryMark:
		p, err = parseBinaryPacket3(data)
	case !utf8.Valid(data):
		err = errPacketText
	default:
		p, err = parsePacket3(data)
	}
	return p, rest, err
}

// nextOctets takes a body in binary form apart.
func nextOctets(body []byte) (mark byte, data, rest []byte, err error) {
	if len(body) == 0 {
		return 0, nil, nil, errEmptyPacket
	}
	mark = body[0]
	n, i := 0, 1
	for ; i < len(body) && i <= maxLengthDigits && body[i] <= 9; i++ {
		n = n*10 + int(body[i])
	}
	if mark > binaryMark || i == 1 || i == len(body) || body[i] != lengthEnd || n > len(body)-i-1 {
		return 0, nil, nil, errPacketLength
	}
	body = body[i+1:]
	return mark, body[:n], body[n:], nil
}

// parsePacket3 reads a packet from its text, which stands alone in a WebSocket text frame.
func parsePacket3(text []byte) (Packet, error) {
	if len(text) == 0 || text[0] != 'b' {
		return parsePacket(text)
	}
	if len(text) == 1 || text[1] < '0' || text[1] > '6' {
		return Packet{}, errUnknownPacket
	}
	t := PacketType(text[1])
	return Packet{Type: t, Binary: t == PacketMessage, Data: decodeBase64(text[2:])}, nil
}

// parseBinaryPacket3 reads a packet from its bytes, which stand alone in a WebSocket binary frame.
func parseBinaryPacket3(data []byte) (Packet, error) {
	switch {
	case len(data) == 0:
		return Packet{}, errEmptyPacket
	case data[0] > byte(PacketNoop-'0'):
		return Packet{}, errUnknownPacket
	}
	t := PacketType('0' + data[0])
	return Packet{Type: t, Binary: t == PacketMessage, Data: data[1:]}, nil
}

// EncodePolling3 returns one message as the packets that carry it in a polling body of protocol 3: in the binary
// form if it has attachments, and the client can take that; otherwise in the text form. Bodies of both forms
// begin with different bytes; [JoinPolling3] joins them.
func EncodePolling3(text []byte, attachments [][]byte, base64Only bool) []byte {
	if len(attachments) > 0 && !base64Only {
		dst := appendOctets(nil, textMark, byte(PacketMessage), validText(text))
		for _, a := range attachments {
			dst = appendOctets(dst, binaryMark, byte(PacketMessage-'0'), a)
		}
		return dst
	}
	dst := appendText3(nil, byte(PacketMessage), text)
	for _, a := range attachments {
		dst = appendBase64Packet3(dst, a)
	}
	return dst
}

// encodePollingBinary3 is EncodePolling3 for a binary message without any text.
func encodePollingBinary3(data []byte, base64Only bool) []byte {
	if base64Only {
		return appendBase64Packet3(nil, data)
	}
	return appendOctets(nil, binaryMark, byte(PacketMessage-'0'), data)
}

// JoinPolling3 makes one body of several that [EncodePolling3] has made: a text, unless one of them is binary.
func JoinPolling3(parts [][]byte) []byte {
	size, octets := 0, false
	for _, p := range parts {
		size += len(p)
		octets = octets || isOctets(p)
	}
	dst := make([]byte, 0, size)
	for _, p := range parts {
		if !octets || isOctets(p) {
			dst = append(dst, p...)
			continue
		}
		for len(p) > 0 { // our own text form: it parses
			units, after, _ := textLength(p)
			n, _ := bytesOfUnits(after, units)
			dst = appendOctets(dst, textMark, after[0], after[1:n])
			p = after[n:]
		}
	}
	return dst
}

// isOctets reports whether a body is in the binary form. No other body of either protocol begins like that.
func isOctets(body []byte) bool { return len(body) > 0 && body[0] <= binaryMark }

// appendText3 appends a packet of a type and text to a body in text form.
func appendText3(dst []byte, t byte, text []byte) []byte {
	text = validText(text)
	dst = strconv.AppendInt(dst, int64(1+utf16Len(text)), 10)
	dst = append(dst, ':', t)
	return append(dst, text...)
}

// appendBase64Packet3 appends a binary message to a body in text form.
func appendBase64Packet3(dst, data []byte) []byte {
	dst = strconv.AppendInt(dst, int64(2+base64.StdEncoding.EncodedLen(len(data))), 10)
	dst = append(dst, ':')
	return appendBase64Message3(dst, data)
}

// appendBase64Message3 appends a binary message as the text of one packet.
func appendBase64Message3(dst, data []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, 'b', byte(PacketMessage)), data)
}

// appendOctets appends a packet of a type and data to a body in binary form.
func appendOctets(dst []byte, mark, t byte, data []byte) []byte {
	dst = append(dst, mark)
	start := len(dst)
	dst = strconv.AppendInt(dst, int64(1+len(data)), 10)
	for i := start; i < len(dst); i++ {
		dst[i] -= '0'
	}
	dst = append(dst, lengthEnd, t)
	return append(dst, data...)
}

// validText replaces what is not UTF-8, whose length a client would not count as we do.
func validText(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return bytes.ToValidUTF8(text, []byte("\ufffd"))
}

// utf16Len is the number of UTF-16 code units of a valid text.
func utf16Len(text []byte) (n int) {
	for _, c := range text {
		n += unitsAt(c)
	}
	return n
}

// bytesOfUnits is the number of bytes of the first units of a valid text. It is not ok when the text is shorter
// or the units end within a character.
func bytesOfUnits(text []byte, units int) (n int, ok bool) {
	if units > len(text) {
		return 0, false
	}
	for n < len(text) && units > 0 {
		units -= unitsAt(text[n])
		n++
	}
	for n < len(text) && !utf8.RuneStart(text[n]) { // the rest of the last character
		n++
	}
	return n, units == 0
}

// unitsAt is the number of UTF-16 code units that begin with a byte of UTF-8.
func unitsAt(c byte) int {
	switch {
	case !utf8.RuneStart(c):
		return 0
	case c >= 0xf0: // four bytes, and a surrogate pair
		return 2
	}
	return 1
}
