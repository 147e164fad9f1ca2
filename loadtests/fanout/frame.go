package main

import "encoding/binary"

// Opcodes of RFC 6455 section 5.2, with the FIN bit that whole messages carry.
const (
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
)

// frameHead reads the head of an unmasked frame (a server never masks): its first byte, the payload's
// size, and where the payload begins. ok is false when p is too short for the head.
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
		return p[0], int(binary.BigEndian.Uint64(p[2:]) & (1<<31 - 1)), 10, true
	}
	return p[0], int(p[1] & 127), 2, true
}

// appendFrame adds a text frame as a client sends it: masked, here with the key zero, which leaves the
// text as it is and is as good as any other to a server.
func appendFrame(buf []byte, text string) []byte {
	buf = append(buf, textFrame)
	switch n := len(text); {
	case n < 126:
		buf = append(buf, 0x80|byte(n))
	case n < 1<<16:
		buf = append(buf, 0x80|126)
		buf = binary.BigEndian.AppendUint16(buf, uint16(n))
	default:
		buf = append(buf, 0x80|127)
		buf = binary.BigEndian.AppendUint64(buf, uint64(n))
	}
	buf = append(buf, 0, 0, 0, 0)
	return append(buf, text...)
}

// Every message's text begins with its number, so that receivers know which one has arrived.
const seqDigits = 8

const hexDigits = "0123456789abcdef"

func putSeq(p []byte, seq uint32) {
	for i := range seqDigits {
		p[i] = hexDigits[seq>>(28-4*i)&15]
	}
}

func getSeq(p []byte) (seq uint32, ok bool) {
	if len(p) < seqDigits {
		return 0, false
	}
	for _, c := range p[:seqDigits] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		seq = seq<<4 | uint32(c)
	}
	return seq, true
}
