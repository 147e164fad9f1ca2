package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"
)

func TestWritesLikeNotepack(t *testing.T) {
	for _, v := range vectors(t) {
		if !v.Same {
			continue
		}
		t.Run(v.JS, func(t *testing.T) {
			got, err := Append([]byte("front"), []byte(v.JSON), v.parts(t))
			if want := append([]byte("front"), v.bytes(t)...); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %x, %v, want %x", got, err, want)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for name, c := range map[string]struct {
		doc      string
		binaries []string
		want     string
	}{
		"white space everywhere":    {" \n{ \"a\" :\t[ 1 , \r2 ] , \"b\" : { } }\n", nil, "\x82\xa1a\x92\x01\x02\xa1b\x80"},
		"escapes":                   {`"\u0041\n\"\\\/\ud83d\ude00"`, nil, "\xa9A\n\"\\/😀"},
		"half a surrogate":          {`"\ud800"`, nil, "\xa3\ufffd"},
		"bytes that are no UTF-8":   {"\"\xff\"", nil, "\xa3\ufffd"},
		"integers with exponents":   {`[1e2,1.0,-3.00,1E+2]`, nil, "\x94\x64\x01\xfd\x64"},
		"minus zero":                {`[-0,-0.0]`, nil, "\x92\x00\x00"},
		"no number of this world":   {`1e400`, nil, "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"},
		"the largest numbers":       {`[18446744073709551615,-9223372036854775808]`, nil, "\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00"},
		"numbers larger than those": {`18446744073709551616`, nil, "\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"},
		"twice the same binary":     {`[{"_placeholder":true,"num":0},{"num":0,"_placeholder":true}]`, []string{"x"}, "\x92\xc4\x01x\xc4\x01x"},
		"one that nothing names":    {`[1]`, []string{"x"}, "\x91\x01"},
		"with white space inside":   {`[ { "_placeholder" : true , "num" : 1 } , 5 ]`, []string{"x", "yz"}, "\x92\xc4\x02yz\x05"},
		"written with escapes":      {`{"\u005fplaceholder":true,"n\u0075m":0}`, []string{"x"}, "\xc4\x01x"},
		"with more inside":          {`[{"_placeholder":true,"num":0,"x":[[{}]]},[7]]`, []string{"x"}, "\x92\xc4\x01x\x91\x07"},
		"a mark that is not true":   {`{"_placeholder":1,"num":0}`, []string{"x"}, "\x82\xac_placeholder\x01\xa3num\x00"},
		"of two marks the last":     {`{"_placeholder":true,"_placeholder":false}`, []string{"x"}, "\x82\xac_placeholder\xc3\xac_placeholder\xc2"},
		"data, without binaries":    {`{"_placeholder":true,"num":7}`, nil, "\x82\xac_placeholder\xc3\xa3num\x07"},
	} {
		t.Run(name, func(t *testing.T) {
			var parts [][]byte
			for _, b := range c.binaries {
				parts = append(parts, []byte(b))
			}
			got, err := Append(nil, []byte(c.doc), parts)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"nothing": ``, "space": ` `, "two values": `1 2`, "a comma": `,`, "an open array": `[1`, "an open object": `{"a":1`,
		"no colon": `{"a"}`, "no key": `{1:2}`, "a comma at the end": `[1,]`, "a missing element": `[,1]`, "an open string": `["a`,
		"a backslash at the end": `"\`, "a word": `nul`, "no number": `1-2`, "a bad escape": `"\x"`, "a control character": "\"\\n\x01\"",
		"the wrong bracket": `[1}`, "a bracket too many": `[1]]`, "a bad key": `{"\x":1}`,
		"a placeholder too high": `{"_placeholder":true,"num":1}`, "a negative one": `{"_placeholder":true,"num":-1}`,
		"one without a number": `{"_placeholder":true}`, "one with a text": `{"_placeholder":true,"num":"0"}`,
		"a zero byte": "[\x00]", "a zero byte at the end": "1\x00",
	} {
		if got, err := Append([]byte("front"), []byte(doc), [][]byte{{}}); !errors.Is(err, ErrJSON) || string(got) != "front" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// The sizes at which the forms of strings, arrays and binary data change.
func TestSizes(t *testing.T) {
	for _, n := range []int{0, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000} {
		text := strings.Repeat("x", n)
		array := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
		keys := make([]string, n)
		for i := range keys {
			keys[i] = `"` + strconv.Itoa(i) + `":1`
		}
		doc := `["` + text + `",` + array + `,{` + strings.Join(keys, ",") + `},{"_placeholder":true,"num":0}]`
		out, err := Append(nil, []byte(doc), [][]byte{[]byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		r, err := read(out)
		if err != nil || string(r.Text) != doc || !equal(r.Binaries, [][]byte{[]byte(text)}) {
			t.Errorf("%d: came back as %d bytes, want %d, %v", n, len(r.Text), len(doc), err)
		}
		// The library's own reader agrees about the numbers of elements.
		v, rest, err := msgp.ReadIntfBytes(out)
		if err != nil || len(rest) > 0 {
			t.Fatal(err)
		}
		all := v.([]any)
		if len(all[0].(string)) != n || len(all[1].([]any)) != n || len(all[2].(map[string]any)) != n || len(all[3].([]byte)) != n {
			t.Errorf("%d: the library reads other sizes", n)
		}
	}
}

// values draws what encoding/json can write, with binary values as []byte.
func values(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(i int64) any { return float64(i) }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return append([]byte{}, b...) }),
		rapid.Just[any](nil),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return values(depth - 1) }), 0, 20), func(l []any) any { return append([]any{}, l...) }),
		rapid.Map(rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[any] { return values(depth - 1) }), 0, 20), func(m map[string]any) any { return m }),
	)
}

// form writes a value as JSON with placeholders.
func form(v any, binaries *[][]byte) any {
	switch x := v.(type) {
	case []byte:
		*binaries = append(*binaries, x)
		return map[string]any{"_placeholder": true, "num": len(*binaries) - 1}
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = form(x[i], binaries)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(x)) { // the order of encoding/json
			out[k] = form(x[k], binaries)
		}
		return out
	}
	return v
}

// number is a value with one kind of number, as JSON has it.
func number(v any) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = number(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = number(x[k])
		}
	case []byte:
		return append([]byte{}, x...) // empty, not nil
	case int64:
		return float64(x)
	case uint64:
		return float64(x)
	case float64:
		if x == 0 {
			return float64(0) // -0 is lost, as in JavaScript
		}
	}
	return v
}

// Another implementation reads the very values that were written, and they come back as the same JSON.
func TestValuesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "value")
		var parts [][]byte
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
		if rapid.Bool().Draw(t, "spacious") {
			enc.SetIndent(" ", "\t")
		}
		if err := enc.Encode(form(v, &parts)); err != nil {
			t.Fatal(err)
		}
		out, err := Append(nil, doc.Bytes(), parts)
		if err != nil {
			t.Fatalf("%q: %v", doc.Bytes(), err)
		}
		got, rest, err := msgp.ReadIntfBytes(out)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%x: %v", out, err)
		}
		if got, want := number(got), number(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
		r := Reader{MaxDepth: depth, MaxBinaries: math.MaxInt}
		if _, err := r.Read(out); err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(doc.Bytes(), &a) != nil || json.Unmarshal(r.Text, &b) != nil || !reflect.DeepEqual(number(a), number(b)) {
			t.Fatalf("%s became %s", doc.Bytes(), r.Text)
		}
	})
}

// FuzzAppend: whatever comes, Append returns; valid JSON never fails without binary values, and comes out as
// msgpack that means the same.
func FuzzAppend(f *testing.F) {
	for _, doc := range []string{
		`["a",1,null]`, ` {"a":[true,false,{}]} `, `[{"_placeholder":true,"num":0}]`, `"\ud83d\ude00"`, `-0.5e+1`, `1e400`, `[1,]`, `{"a"}`, ``,
		`18446744073709551615`, `{"\u005fplaceholder":true,"num":0,"x":[[]]}`, "\"\xff\"", `[[[[]]]]`,
	} {
		f.Add([]byte(doc), 1)
		f.Add([]byte(doc), 0)
	}
	f.Fuzz(func(t *testing.T, doc []byte, n int) {
		parts := make([][]byte, min(max(n, 0), 3))
		out, err := Append(nil, doc, parts)
		if err != nil {
			if len(parts) == 0 && json.Valid(doc) {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		if !json.Valid(doc) {
			return // some of it is let through; nobody asks for it
		}
		if rest, err := Skip(out); err != nil || len(rest) > 0 {
			t.Fatalf("%q became %x: leaves %x, %v", doc, out, rest, err)
		}
		r := Reader{MaxDepth: math.MaxInt, MaxBinaries: math.MaxInt}
		if _, err := r.Read(out); err != nil && !errors.Is(err, ErrForged) {
			t.Fatalf("%q became %x: %v", doc, out, err)
		}
		if len(parts) > 0 {
			return
		}
		var want, got any
		if json.Unmarshal(doc, &want) != nil { // a number out of range
			return
		}
		if json.Unmarshal(r.Text, &got) != nil || !reflect.DeepEqual(number(got), number(want)) {
			t.Fatalf("%q became %q", doc, r.Text)
		}
	})
}
