package msgpack

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string, as JSON.stringify writes it. ok is false when s is not UTF-8: what
// goes on to other clients in text frames must be.
func appendString(dst, s []byte) (out []byte, ok bool) {
	if !utf8.Valid(s) {
		return dst, false
	}
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"'), true
}

// appendFloat appends a number as JavaScript writes it (ECMA-262, Number::toString); what is none is null.
func appendFloat(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case f == 0: // also -0
		return append(dst, '0')
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes two digits of an exponent at least, JavaScript one.
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' {
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// maxDate is how far JavaScript's dates go to either side of 1970, in milliseconds.
const maxDate = 8_640_000_000_000_000

// appendDate appends a time in milliseconds as Date.toISOString writes it; what is none is null.
func appendDate(dst []byte, ms int64) []byte {
	if ms < -maxDate || ms > maxDate {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	if y := t.Year(); y >= 0 && y <= 9999 {
		return t.AppendFormat(dst, `2006-01-02T15:04:05.000Z"`)
	} else if y < 0 {
		dst = appendYear(append(dst, '-'), -y)
	} else {
		dst = appendYear(append(dst, '+'), y)
	}
	return t.AppendFormat(dst, `-01-02T15:04:05.000Z"`)
}

// appendYear appends the six digits of a year that four cannot hold.
func appendYear(dst []byte, y int) []byte {
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+y/unit%10))
	}
	return dst
}

// Text returns a document without placeholders: each binary value stands in it as JSON.stringify writes Node.js' Buffers,
// {"type":"Buffer","data":[…]}.
func Text(doc []byte, binaries [][]byte) ([]byte, error) {
	packed, err := Append(nil, doc, binaries)
	if err != nil {
		return nil, err
	}
	r := Reader{MaxDepth: textDepth, Buffers: true}
	_, err = r.Read(packed)
	return r.Text, err
}

// textDepth is as deep as encoding/json goes.
const textDepth = 10_000

// AppendText appends a string to JSON, as JSON.stringify writes it; what is no UTF-8 in it is replaced.
func AppendText(dst []byte, s string) []byte {
	if out, ok := appendString(dst, []byte(s)); ok {
		return out
	}
	out, _ := appendString(dst, []byte(strings.ToValidUTF8(s, "\uFFFD")))
	return out
}
