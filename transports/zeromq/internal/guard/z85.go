package guard

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// z85 are the letters of ZeroMQ's base 85 (RFC 32).
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// KeyText is the length of a key as text.
const KeyText = 40

// EncodeKey writes a key in Z85.
func EncodeKey(k Key) string {
	out := make([]byte, 0, KeyText)
	for i := 0; i < len(k); i += 4 {
		v := binary.BigEndian.Uint32(k[i:])
		for div := uint32(85 * 85 * 85 * 85); div > 0; div /= 85 {
			out = append(out, z85[v/div%85])
		}
	}
	return string(out)
}

// DecodeKey reads what [EncodeKey] writes. The error does not show the text, which may be a secret.
func DecodeKey(s string) (k Key, err error) {
	if len(s) != KeyText {
		return k, fmt.Errorf("a key has %d letters of Z85, not %d", KeyText, len(s))
	}
	for i := range len(k) / 4 {
		var v uint64
		for _, c := range []byte(s[5*i : 5*i+5]) {
			digit := strings.IndexByte(z85, c)
			if digit < 0 {
				return k, fmt.Errorf("a key in Z85 holds a letter that is none of its")
			}
			v = 85*v + uint64(digit)
		}
		if v > 1<<32-1 {
			return k, fmt.Errorf("five letters of a key in Z85 are too large for 32 bits")
		}
		binary.BigEndian.PutUint32(k[4*i:], uint32(v))
	}
	return k, nil
}
