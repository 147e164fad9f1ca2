package zeromq

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

var errTNetString = errors.New("no TNetString")

// parseTNetString reads one value that fills b: a []byte, an int64, a float64, a bool, nil, a []any or a
// map[string]any, nested at most depth deep. Byte strings are views of b. Its format, tnetstrings.info, is
// "SIZE:BYTESt" with a letter for the type.
func parseTNetString(b []byte, depth int) (any, error) {
	v, rest, err := nextTNetString(b, depth)
	if err == nil && len(rest) > 0 {
		err = errTNetString
	}
	return v, err
}

// nextTNetString reads the value that b begins with.
func nextTNetString(b []byte, depth int) (v any, rest []byte, err error) {
	digits, after, ok := bytes.Cut(b[:min(len(b), 11)], []byte{':'})
	if !ok || len(digits) == 0 || len(digits) > 1 && digits[0] == '0' {
		return nil, nil, errTNetString
	}
	size, err := strconv.ParseUint(string(digits), 10, 31)
	start := min(len(b), 11) - len(after)
	if err != nil || size >= uint64(len(b)-start) {
		return nil, nil, errTNetString
	}
	body, kind, rest := b[start:start+int(size)], b[start+int(size)], b[start+int(size)+1:]
	v, err = tnetValue(kind, body, depth)
	return v, rest, err
}

func tnetValue(kind byte, body []byte, depth int) (any, error) {
	switch kind {
	case ',':
		return body, nil
	case '#':
		return number(strconv.ParseInt(string(body), 10, 64))
	case '^':
		f, err := strconv.ParseFloat(string(body), 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			err = errTNetString
		}
		return number(f, err)
	case '!':
		if s := string(body); s == "true" || s == "false" {
			return s == "true", nil
		}
	case '~':
		if len(body) == 0 {
			return nil, nil
		}
	case ']':
		return tnetList(body, depth-1)
	case '}':
		return tnetMap(body, depth-1)
	}
	return nil, errTNetString
}

func number[T int64 | float64](n T, err error) (any, error) {
	if err != nil {
		return nil, errTNetString
	}
	return n, nil
}

func tnetList(body []byte, depth int) (any, error) {
	list := []any{}
	for len(body) > 0 {
		if depth <= 0 {
			return nil, errTNetString
		}
		v, rest, err := nextTNetString(body, depth)
		if err != nil {
			return nil, err
		}
		list, body = append(list, v), rest
	}
	return list, nil
}

func tnetMap(body []byte, depth int) (any, error) {
	m := map[string]any{}
	for len(body) > 0 {
		if depth <= 0 {
			return nil, errTNetString
		}
		k, rest, err := nextTNetString(body, depth)
		if err != nil {
			return nil, err
		}
		key, ok := k.([]byte)
		if !ok {
			return nil, errTNetString
		}
		v, rest, err := nextTNetString(rest, depth)
		if err != nil {
			return nil, err
		}
		m[string(key)], body = v, rest
	}
	return m, nil
}
