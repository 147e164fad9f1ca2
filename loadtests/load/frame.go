package load

import "encoding/binary"

// First bytes of frames, RFC 6455 section 5.2.
const (
	finBit   = 0x80
	rsv1Bit  = 0x40 // the message is compressed (RFC 7692)
	opCont   = 0
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// frameHead reads the head of an unmasked frame (a server never masks): its first byte, the payload's
// size, and where the payload begins. ok is false when p is too short for the head. A size beyond what
// anybody would take is returned as one.
func frameHead(p []byte) (first byte, size, at int, ok bool) {
	if len(p) < 2 {
		return 0, 0, 0, false
	}
	switch p[1] {
	case 126:
		if len(p) < 4 {
			return 0, 0, 0, false
		}
		return p[0], int(binary.BigEndian.Uint16(p[2:])), 4, true
	case 127:
		if len(p) < 10 {
			return 0, 0, 0, false
		}
		return p[0], int(min(binary.BigEndian.Uint64(p[2:]), maxFrame+1)), 10, true
	}
	return p[0], int(p[1]), 2, true // a mask bit makes it 128 or more, see frames
}

// maxFrame bounds what is kept of one that has not arrived whole, 16 MB.
const maxFrame = 16 << 20

// frameSpace is the longest head of a client's frame.
const frameSpace = 14

// sealFrame turns buf, whose first frameSpace bytes are free and whose rest is the payload, into a client's frame,
// and returns it: masked, here with the key zero, which leaves the payload as it is and is as good as any other to a
// server.
func sealFrame(buf []byte, op byte) []byte {
	n := len(buf) - frameSpace
	var head [frameSpace]byte
	head[0] = finBit | op
	at := 2
	switch {
	case n < 126:
		head[1] = 0x80 | byte(n)
	case n < 1<<16:
		head[1] = 0x80 | 126
		binary.BigEndian.PutUint16(head[2:], uint16(n))
		at = 4
	default:
		head[1] = 0x80 | 127
		binary.BigEndian.PutUint64(head[2:], uint64(n))
		at = 10
	}
	at += 4 // the mask
	copy(buf[frameSpace-at:], head[:at])
	return buf[frameSpace-at:]
}
