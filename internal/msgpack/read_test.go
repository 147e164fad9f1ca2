package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestReadsLikeNotepack(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.JS, func(t *testing.T) {
			src := v.bytes(t)
			r, err := read(src)
			if err != nil {
				t.Fatal(err)
			}
			want := v.JSON
			if want == "" {
				want = "null" // undefined on its own
			}
			if string(r.Text) != want {
				t.Errorf("got %s, want %s", r.Text, want)
			}
			if !equal(r.Binaries, v.parts(t)) {
				t.Errorf("binary values %x, want %s", r.Binaries, v.Binaries)
			}
			if rest, err := Skip(append(src, 1, 2)); err != nil || !bytes.Equal(rest, []byte{1, 2}) {
				t.Errorf("skipping leaves %x, %v", rest, err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	nested := func(n int, open, inner string) string { return strings.Repeat(open, n) + inner }
	for name, c := range map[string]struct {
		src  string
		want error
	}{
		"nothing":                         {"", ErrMalformed},
		"the byte that is never used":     {"\xc1", ErrMalformed},
		"a string cut short":              {"\xa5hell", ErrMalformed},
		"a string without its size":       {"\xda\x01", ErrMalformed},
		"a string that is no UTF-8":       {"\xa2\xff\xfe", ErrMalformed},
		"a surrogate":                     {"\xa3\xed\xa0\x80", ErrMalformed},
		"an overlong form":                {"\xa2\xc0\x80", ErrMalformed},
		"a huge string":                   {"\xdb\xff\xff\xff\xffx", ErrMalformed},
		"huge binary data":                {"\xc6\xff\xff\xff\xffx", ErrMalformed},
		"a huge array":                    {"\xdd\xff\xff\xff\xff\xc0", ErrMalformed},
		"a huge map":                      {"\xdf\xff\xff\xff\xff\xa1a\xc0", ErrMalformed},
		"a huge extension":                {"\xc9\xff\xff\xff\xff\x00x", ErrMalformed},
		"an array cut short":              {"\x92\xc0", ErrMalformed},
		"an array without its size":       {"\xdc\x00", ErrMalformed},
		"a map without a value":           {"\x81\xa1a", ErrMalformed},
		"a map with an array for a key":   {"\x81\x90\xc0", ErrMalformed},
		"a map with nil for a key":        {"\x81\xc0\xc0", ErrMalformed},
		"a map with binary data as key":   {"\x81\xc4\x01a\xc0", ErrMalformed},
		"a map with undefined for a key":  {"\x81\xd4\x00\x00\xc0", ErrMalformed},
		"a key that is no UTF-8":          {"\x81\xa1\xff\xc0", ErrMalformed},
		"a float cut short":               {"\xcb\x00", ErrMalformed},
		"a small float cut short":         {"\xca\x00", ErrMalformed},
		"a number cut short":              {"\xcf\x00", ErrMalformed},
		"a negative number cut short":     {"\xd3\x00", ErrMalformed},
		"undefined cut short":             {"\xd4\x00", ErrMalformed},
		"a date cut short":                {"\xd7\x00\x00", ErrMalformed},
		"an extension without a type":     {"\xc7\x00", ErrMalformed},
		"an extension without a size":     {"\xc8\x00", ErrMalformed},
		"an extension's lead alone":       {"\xd8", ErrMalformed},
		"binary data without a size":      {"\xc4", ErrMalformed},
		"arrays too deep":                 {nested(depth+1, "\x91", "\xc0"), ErrTooDeep},
		"maps too deep":                   {nested(depth+1, "\x81\xa1a", "\xc0"), ErrTooDeep},
		"arrays far too deep":             {nested(1_000_000, "\x91", "\xc0"), ErrTooDeep},
		"too many binary values":          {"\xdc\x03\xe9" + strings.Repeat("\xc4\x00", binaries+1), ErrTooMany},
		"too many typed arrays":           {"\xdc\x03\xe9" + strings.Repeat("\xc7\x00\x00", binaries+1), ErrTooMany},
		"too many unknown extensions":     {"\xdc\x03\xe9" + strings.Repeat("\xd4\x01\x00", binaries+1), ErrTooMany},
		"a forged placeholder in front":   {"\x92\x82\xac_placeholder\xc3\xa3num\x00\xc4\x01x", ErrForged},
		"a forged placeholder afterwards": {"\x92\xc4\x01x\x82\xa3num\x00\xac_placeholder\xc3", ErrForged},
		"a forged placeholder's mark":     {"\x92\xc4\x01x\x81\xac_placeholder\xc3", ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := read([]byte(c.src)); !errors.Is(err, c.want) {
				t.Errorf("got %q, %v, want %v", r.Text, err, c.want)
			}
		})
	}
}

func TestReadTakesWhatIsWithinBounds(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"arrays as deep as allowed":   {strings.Repeat("\x91", depth) + "\xc0", strings.Repeat("[", depth) + "null" + strings.Repeat("]", depth)},
		"a placeholder that says no":  {"\x92\xc4\x01x\x81\xac_placeholder\xc2", `[{"_placeholder":true,"num":0},{"_placeholder":false}]`},
		"a placeholder all alone":     {"\x81\xac_placeholder\xc3", `{"_placeholder":true}`},
		"a placeholder left out":      {"\x92\xc4\x01x\x81\xac_placeholder\xd4\x00\x00", `[{"_placeholder":true,"num":0},{}]`},
		"large numbers, all digits":   {"\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00", `[18446744073709551615,-9223372036854775808]`},
		"a key that needs escapes":    {"\x81\xa3\"\\\n\xc0", `{"\"\\\n":null}`},
		"a number as large as a key":  {"\x81\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc0", `{"18446744073709551615":null}`},
		"undefined with another byte": {"\x91\xd4\x00\x07", `[null]`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := read([]byte(c.src))
			if err != nil || string(r.Text) != c.want {
				t.Errorf("got %s, %v, want %s", r.Text, err, c.want)
			}
		})
	}
}

func TestFirstElement(t *testing.T) {
	for src, want := range map[string]string{
		"\x90": "", "\x80": "", "\x05": "", "\x81\xa1a\x91\x01": "", "\x91\xa1a": `"a"`, "\x92\x07\xa1b": "7", "\x91\x92\x01\x02": "[1,2]",
		"\x91\xd4\x00\x00": "null", "\x91\xc4\x01x": `{"_placeholder":true,"num":0}`,
	} {
		if r, err := read([]byte(src)); err != nil || string(r.First) != want {
			t.Errorf("%q: got %q, %v, want %q", src, r.First, err, want)
		}
	}
}

// Binary values must outlive the buffer that they came in.
func TestBinariesAreCopies(t *testing.T) {
	src := []byte("\x92\xc4\x03abc\xc7\x03\x00def")
	r, err := read(src)
	if err != nil {
		t.Fatal(err)
	}
	clear(src)
	if !equal(r.Binaries, [][]byte{[]byte("abc"), []byte("def")}) {
		t.Errorf("got %q", r.Binaries)
	}
}

// What follows the value is the caller's.
func TestReadReturnsTheRest(t *testing.T) {
	r := Reader{MaxDepth: depth}
	rest, err := r.Read([]byte("\x91\x01\xa1x"))
	if err != nil || string(rest) != "\xa1x" || string(r.Text) != "[1]" {
		t.Errorf("got %s and %q, %v", r.Text, rest, err)
	}
}

func TestAbsent(t *testing.T) {
	for _, c := range []struct {
		src, rest string
		ok        bool
	}{
		{"\xc0\x01", "\x01", true}, {"\xd4\x00\x00\x01", "\x01", true}, {"\xd4\x00\x07", "", true},
		{"\xd4\x00", "\xd4\x00", false}, {"\xd4\x01\x00", "\xd4\x01\x00", false}, {"\xc2", "\xc2", false}, {"", "", false},
	} {
		if rest, ok := Absent([]byte(c.src)); ok != c.ok || string(rest) != c.rest {
			t.Errorf("%q: %t, leaves %q", c.src, ok, rest)
		}
	}
}

// Skipping takes neither stack nor time for what is nested deep, and believes no size.
func TestSkipRefuses(t *testing.T) {
	for name, src := range map[string]string{
		"nothing": "", "a string cut short": "\xa5hell", "a huge array": "\xdd\xff\xff\xff\xff\xc0", "a huge map": "\xdf\xff\xff\xff\xff\xa1a\xc0",
		"huge arrays in huge arrays": strings.Repeat("\xdd\xff\xff\xff\xff", 1000), "the byte that is never used": "\xc1",
	} {
		if rest, err := Skip([]byte(src)); err == nil {
			t.Errorf("%s: leaves %q", name, rest)
		}
	}
	if rest, err := Skip([]byte(strings.Repeat("\x91", 1_000_000) + "\xc0\x01")); err != nil || string(rest) != "\x01" {
		t.Errorf("nested deep: leaves %d bytes, %v", len(rest), err)
	}
}

// FuzzRead: whatever comes, Read and Skip return. What Read takes is JSON that fits its bounds and comes back
// the same after it was written.
func FuzzRead(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.Hex) < 2000 {
			f.Add(v.bytes(f))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		before := bytes.Clone(src)
		skipped, skipErr := Skip(src)
		r := Reader{MaxDepth: 8, MaxBinaries: 8}
		rest, err := r.Read(src)
		if !bytes.Equal(src, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		if skipErr != nil || !bytes.Equal(rest, skipped) {
			t.Fatalf("reading leaves %x, skipping %x, %v", rest, skipped, skipErr)
		}
		if !json.Valid(r.Text) || len(r.Binaries) > 8 {
			t.Fatalf("%q with %d binary values", r.Text, len(r.Binaries))
		}
		out, err := Append(nil, r.Text, r.Binaries)
		if err != nil {
			t.Fatalf("%q: %v", r.Text, err)
		}
		again := Reader{MaxDepth: 8, MaxBinaries: 8}
		if _, err := again.Read(out); err != nil {
			t.Fatalf("%q became %x: %v", r.Text, out, err)
		}
		if !bytes.Equal(again.Text, r.Text) || !equal(again.Binaries, r.Binaries) {
			t.Fatalf("%q became %q", r.Text, again.Text)
		}
	})
}
