package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestEncodeArgs(t *testing.T) {
	type point struct {
		X int `json:"x"`
	}
	for _, tc := range []struct {
		name        string
		args        []any
		json        string
		attachments int
	}{
		{"none", nil, `["e"]`, 0},
		{"plain", []any{"a", 1, int64(2), 1.5, true, nil}, `["e","a",1,2,1.5,true,null]`, 0},
		{"no HTML escaping", []any{"</script>&"}, `["e","</script>&"]`, 0},
		{"quotes and controls", []any{"a\"b\\c\n\x01é"}, `["e","a\"b\\c\n\u0001é"]`, 0},
		{"struct", []any{point{3}}, `["e",{"x":3}]`, 0},
		{"raw", []any{json.RawMessage(`{"b":1,"a":2}`)}, `["e",{"b":1,"a":2}]`, 0},
		{"empty raw", []any{json.RawMessage(nil)}, `["e",null]`, 0},
		{"binary", []any{[]byte{1}, Binary{2}}, `["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, 2},
		{"nested binary", []any{[]any{map[string]any{"b": []byte{1}}, []byte{2}}}, `["e",[{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]]`, 2},
		{"placeholder without binary is data", []any{json.RawMessage(`{"_placeholder":true,"num":0}`)}, `["e",{"_placeholder":true,"num":0}]`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := EncodeArgs("e", tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			if string(p.JSON) != tc.json || len(p.Attachments) != tc.attachments {
				t.Errorf("got %s with %d attachments, want %s with %d", p.JSON, len(p.Attachments), tc.json, tc.attachments)
			}
			if !json.Valid(p.JSON) {
				t.Error("not valid JSON")
			}
		})
	}
}

func TestEncodeArgsRefuses(t *testing.T) {
	deep := any([]byte{1})
	for range maxArgDepth + 2 {
		deep = []any{deep}
	}
	for name, args := range map[string][]any{
		"bad raw":             {json.RawMessage(`{`)},
		"NaN":                 {math.NaN()},
		"channel":             {make(chan int)},
		"forged placeholder":  {json.RawMessage(`{"_placeholder":true,"num":99}`), []byte{1}},
		"escaped placeholder": {json.RawMessage(`[{"\u005fplaceholder":true,"num":99}]`), []byte{1}},
		"binary too deep":     {deep},
	} {
		if p, err := EncodeArgs("e", args...); err == nil {
			t.Errorf("%s: no error, got %s", name, p.JSON)
		}
	}
	if _, err := EncodeArgs("e", json.RawMessage(`"_placeholder"`), []byte{1}); err != nil {
		t.Errorf("the word as a value is no forgery: %v", err)
	}
}

// TestStringsAreEncodedAsEncodingJSONDoes: at every place of a word and behind it.
func TestStringsAreEncodedAsEncodingJSONDoes(t *testing.T) {
	special := []string{"", "é", "\u2028", "\u2029", "\ufffd", "\xff", "日本語"}
	for c := range 0x100 {
		special = append(special, string([]byte{byte(c)}))
	}
	for _, s := range special {
		for at := range 17 {
			in := strings.Repeat("~", at) + s + strings.Repeat(" ", 17-at)
			var want bytes.Buffer
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(in); err != nil {
				t.Fatal(err)
			}
			if got := string(appendString(nil, in)) + "\n"; got != want.String() {
				t.Errorf("%q: %s, want %s", in, got, want.String())
			}
			p, err := EncodeArgs("e", Text(in), []any{Text(in), []byte{}}, []Text{Text(in)})
			word := strings.TrimSpace(want.String())
			if s := `["e",` + word + `,[` + word + `,{"_placeholder":true,"num":0}],[` + word + `]]`; err != nil || string(p.JSON) != s {
				t.Errorf("%q: lent it is %s, %v, want %s", in, p.JSON, err, s)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		`[]`:                             nil,
		`["a"]`:                          {`"a"`},
		` [ "a" , {"b":[1,2]} , "],[" ]`: {`"a"`, `{"b":[1,2]}`, `"],["`},
		`["a\"],",[[],[]],null]`:         {`"a\"],"`, `[[],[]]`, `null`},
	} {
		got, err := Payload{JSON: []byte(in)}.Split()
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: got %q", in, got)
		}
		for i := range got {
			if string(got[i]) != want[i] {
				t.Errorf("%s: element %d is %s, want %s", in, i, got[i], want[i])
			}
		}
	}
	if _, err := (Payload{JSON: []byte(`{}`)}).Split(); !errors.Is(err, errNotArray) {
		t.Errorf("an object: %v", err)
	}
}

// TestSplitKnowsMeta: what is found with the mark of where meta begins is what is found without.
func TestSplitKnowsMeta(t *testing.T) {
	m := &Message{Room: `a,"b]`, ID: "x-1", Seq: 1, From: &Sender{ID: "i", Name: "[{,"}}
	for _, args := range [][]any{nil, {"x"}, {[]any{1, "],"}, nil}} {
		p, err := EncodeArgs("e", args...)
		if err != nil {
			t.Fatal(err)
		}
		marked := p.withMeta(m, "")
		got, err := marked.Split()
		if err != nil {
			t.Fatal(err)
		}
		want, err := Payload{JSON: marked.JSON}.Split()
		if err != nil || marked.meta == 0 || len(got) != len(args)+2 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q, %v", got, want, err)
		}
	}
}

// FuzzSplit compares Split with encoding/json on every valid array: the elements are the same, decode to
// the same, and joined again they are the array. On anything else it must not panic.
func FuzzSplit(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Payload{JSON: b, Attachments: [][]byte{{1}, {2}}}
		got, err := p.Split()
		for _, raw := range got {
			var v any
			var bin []byte
			_ = p.Decode(raw, &v)
			_ = p.Decode(raw, &bin)
			_ = p.Decode(raw, new(map[string]int))
		}
		var want []json.RawMessage
		if !json.Valid(b) || json.Unmarshal(b, &want) != nil || want == nil {
			return
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: got %q, %v; want %q", b, got, err, want)
		}
		p.Attachments = nil
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("%s: element %d is %s, want %s", b, i, got[i], want[i])
			}
			var v, w any
			err, wantErr := p.Decode(got[i], &v), json.Unmarshal(want[i], &w)
			if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(v, w) {
				t.Fatalf("%s: decoded %v, %v; want %v, %v", got[i], v, err, w, wantErr)
			}
		}
		args := make([]any, len(got))
		for i := range got {
			args[i] = got[i]
		}
		again, err := encodeAck(args...)
		if err != nil {
			t.Fatalf("%s: encoding its elements: %v", b, err)
		}
		var x, y any
		if err := json.Unmarshal(b, &x); err != nil {
			return // a number that no float64 holds
		}
		if err := json.Unmarshal(again.JSON, &y); err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%s: put together again it is %s, %v", b, again.JSON, err)
		}
	})
}

func TestDecode(t *testing.T) {
	p, err := EncodeArgs("e", []byte("xyz"), []any{1, []byte("in")}, "s")
	if err != nil {
		t.Fatal(err)
	}
	ev := NewEvent("e", p, NoAck)
	var b []byte
	var v any
	var s string
	if err := ev.Args(&b, &v, &s); err != nil {
		t.Fatal(err)
	}
	if string(b) != "xyz" || s != "s" || string(v.([]any)[1].([]byte)) != "in" {
		t.Errorf("got %q %v %q", b, v, s)
	}
	var n int
	err = ev.Args(nil, nil, &n)
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != "bad_arguments" || !strings.Contains(refused.Message, "argument 3") {
		t.Errorf("wrong type: %v", err)
	}
	if err := ev.Args(nil, nil, nil, &n); !errors.As(err, &refused) {
		t.Errorf("too few: %v", err)
	}
	if err := NewEvent("e", Payload{JSON: []byte(`["e",7]`)}, NoAck).Args(&b); err == nil {
		t.Error("a number was taken for binary data")
	}
}

// What goes past encoding/json means what encoding/json makes of it.
func TestPlainTextsAreWhatJSONSays(t *testing.T) {
	for _, raw := range []string{
		`""`, `"a"`, `"some text"`, `"größer, 大"`, "\"\x7f\"", `"a\"b"`, `"\u0041"`, `"a`, `a"`, `"`, ``, `7`, `null`, `["a"]`,
		"\"\xff\"", "\"a\xc3\"", "\"a\nb\"", `"a"b"`, `"a" "b"`, "\"\u2028\"",
	} {
		var want, got string
		wantErr := json.Unmarshal([]byte(raw), &want)
		if text, ok := plainText([]byte(raw)); ok && (wantErr != nil || string(text) != want) {
			t.Errorf("%q is plain: %q, but to encoding/json %q, %v", raw, text, want, wantErr)
		}
		if !json.Valid([]byte(raw)) {
			if _, err := EncodeArgs("e", json.RawMessage(raw)); raw != "" && err == nil {
				t.Errorf("%q passes", raw)
			}
			continue // is not given to Decode
		}
		err := Payload{}.Decode(json.RawMessage(raw), &got)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: %q, %v; want %q, %v", raw, got, err, want, wantErr)
		}
	}
	for raw, plain := range map[string]bool{`"some text"`: true, `"größer"`: true, `"\n"`: false, "\"\xff\"": false} {
		if _, ok := plainText([]byte(raw)); ok != plain {
			t.Errorf("%q: plain is %t", raw, ok)
		}
	}
}
