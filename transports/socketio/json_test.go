package socketio

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// nesting is how deep the brackets of a document go, strings aside.
func nesting(b []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

var plainNumber = regexp.MustCompile(`^[0-9]{1,3}$`)

// placeholdersFit is the scanner's rule for placeholders, told over the values that encoding/json makes.
func placeholdersFit(v any, attachments int) bool {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if !placeholdersFit(e, attachments) {
				return false
			}
		}
	case map[string]any:
		for _, e := range x {
			if !placeholdersFit(e, attachments) {
				return false
			}
		}
		if x["_placeholder"] == true {
			n, ok := x["num"].(json.Number)
			i, err := n.Int64()
			return ok && plainNumber.MatchString(string(n)) && err == nil && i < int64(attachments)
		}
	}
	return true
}

// against compares the scanner with encoding/json on one input. Where an object repeats a key the
// scanner may refuse what the oracle, which sees the last one only, takes; repeats says that this can be.
func against(t interface {
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, b []byte, attachments int, repeats bool) {
	s := scanner{b: b, depth: maxDepth, attachments: attachments}
	got := s.document()
	want := json.Valid(b) && nesting(b) <= maxDepth
	if want && attachments >= 0 {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		want = placeholdersFit(v, attachments)
	}
	if got != want && (got || !repeats) {
		t.Errorf("%q with %d attachments: valid is %t, want %t", b, attachments, got, want)
	}
	if !got {
		return
	}
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); s.start != len(b)-len(trimmed) {
		t.Errorf("%q: starts at %d", b, s.start)
	}
	var all []json.RawMessage
	if b[s.start] != '[' || json.Unmarshal(b, &all) != nil || len(all) == 0 {
		if s.first != nil {
			t.Errorf("%q: first is %q, want none", b, s.first)
		}
		return
	}
	if !bytes.Equal(s.first, all[0]) {
		t.Errorf("%q: first is %q, want %q", b, s.first, all[0])
	}
}

// documents draws JSON texts, with white space, escapes and placeholders, and no repeated keys.
func documents() *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r "})
	scalar := rapid.OneOf(
		rapid.SampledFrom([]string{
			"null", "true", "false", "0", "-0", "1", "12", "-7", "0.5", "1e3", "1E-2", "1.25e+300", "1e400",
			`""`, `"a"`, `"\u0041\n\\\""`, `"\ud800"`, `"é€😀"`, "\"\u2028\"", `"_placeholder"`, "\"\xff\"", "\"\x7f\"",
		}),
		rapid.Custom(func(t *rapid.T) string {
			b, err := json.Marshal(rapid.String().Draw(t, "text"))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}),
	)
	keys := []string{`"_placeholder"`, `"num"`, `"a"`, `""`, `"\u005fplaceholde"`, `"n\u0075"`}
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		if depth == 0 {
			return scalar
		}
		return rapid.Custom(func(t *rapid.T) string {
			sp := func() string { return space.Draw(t, "space") }
			var parts []string
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				return scalar.Draw(t, "scalar")
			case 1:
				num := rapid.SampledFrom([]string{"0", "1", "2", "3", "10", "-1", "0.0", "1e0", `"0"`, "null", "1000"}).Draw(t, "num")
				mark := rapid.SampledFrom([]string{"true", "true", "true", "1", "false"}).Draw(t, "mark")
				return "{" + sp() + `"_placeholder":` + mark + `,"num":` + sp() + num + "}"
			case 2:
				for range rapid.IntRange(0, 4).Draw(t, "length") {
					parts = append(parts, sp()+value(depth-1).Draw(t, "element")+sp())
				}
				return "[" + strings.Join(parts, ",") + sp() + "]"
			}
			for _, k := range rapid.Permutation(keys).Draw(t, "keys")[:rapid.IntRange(0, 4).Draw(t, "size")] {
				parts = append(parts, sp()+k+sp()+":"+sp()+value(depth-1).Draw(t, "member")+sp())
			}
			return "{" + strings.Join(parts, ",") + sp() + "}"
		})
	}
	return rapid.Custom(func(t *rapid.T) string {
		return space.Draw(t, "before") + value(4).Draw(t, "value") + space.Draw(t, "after")
	})
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		against(t, []byte(documents().Draw(t, "document")), rapid.IntRange(-1, maxAttachments).Draw(t, "attachments"), false)
	})
}

// One byte changed, inserted or removed: mostly invalid, and invalid in the same places.
func TestScannerAgreesWithEncodingJSONOnDamagedTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(documents().Draw(t, "document"))
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		by := rapid.OneOf(rapid.SampledFrom([]byte("\"\\{}[],:0-+.eE tfnu\x00\n")), rapid.Byte()).Draw(t, "byte")
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			b[at] = by
		case 1:
			b = append(b[:at:at], b[at+1:]...)
		case 2:
			b = append(append(b[:at:at], by), b[at:]...)
		case 3:
			b = b[:at]
		}
		against(t, b, rapid.IntRange(-1, 3).Draw(t, "attachments"), true)
	})
}

func TestNestingIsBoundedExactly(t *testing.T) {
	for n, want := range map[int]bool{1: true, maxDepth: true, maxDepth + 1: false, 1_000_000: false} {
		s := scanner{b: []byte(deep(n)), depth: maxDepth, attachments: -1}
		if got := s.document(); got != want {
			t.Errorf("%d deep: valid is %t", n, got)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	const digits = "0123456789abcdef"
	var doc bytes.Buffer
	doc.WriteString(`["message",{"user":"Ann","text":"`)
	for range 64 {
		doc.WriteByte(digits[rand.IntN(16)])
	}
	doc.WriteString(`","tags":["a","b"],"n":12.5,"at":1764000000000}]`)
	b.Run("scanner", func(b *testing.B) {
		b.SetBytes(int64(doc.Len()))
		for b.Loop() {
			s := scanner{b: doc.Bytes(), depth: maxDepth, attachments: -1}
			if !s.document() {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(doc.Len()))
		for b.Loop() {
			if !json.Valid(doc.Bytes()) {
				b.Fatal("invalid")
			}
		}
	})
}
