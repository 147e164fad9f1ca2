package zeromq

import (
	"strings"
	"testing"
)

func TestPayloadRules(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	cases := []struct {
		name, in                 string
		auto, json, text, binary string // as describe writes them, or a reason
	}{
		{"object", `{"a": 1}`, `{"a":1}`, `{"a":1}`, `"{\"a\": 1}"`, "x7b2261223a20317d"},
		{"array in white space", " [1]\n", `[1]`, `[1]`, `" [1]\n"`, "x205b315d0a"},
		{"number", "42", `"42"`, `42`, `"42"`, "x3432"},
		{"true", "true", `"true"`, `true`, `"true"`, "x74727565"},
		{"null", "null", `"null"`, `null`, `"null"`, "x6e756c6c"},
		{"quoted string", `"x"`, `"\"x\""`, `"x"`, `"\"x\""`, "x227822"},
		{"text", "hello", `"hello"`, reasonPayload, `"hello"`, "x68656c6c6f"},
		{"UTF-8", "ü", `"ü"`, reasonPayload, `"ü"`, "xc3bc"},
		{"nothing", "", `""`, reasonPayload, `""`, "x"},
		{"looks like an object", "{x", `"{x"`, reasonPayload, `"{x"`, "x7b78"},
		{"two objects", "{}{}", `"{}{}"`, reasonPayload, `"{}{}"`, "x7b7d7b7d"},
		{"bytes", "\x00\xff", "x00ff", reasonPayload, reasonPayload, "x00ff"},
		{"JSON with a string that is not UTF-8", "[\"\xff\"]", "x5b22ff225d", reasonPayload, reasonPayload, "x5b22ff225d"},
		{"64 deep", deep(64), deep(64), deep(64), `"` + deep(64) + `"`, ""},
		{"65 deep", deep(65), reasonDepth, reasonDepth, `"` + deep(65) + `"`, ""},
		{"20 000 deep", deep(20_000), reasonDepth, reasonDepth, `"` + deep(20_000) + `"`, ""},
		{"brackets in strings are no depth", `["` + deep(70) + `\"["]`, `["` + deep(70) + `\"["]`, `["` + deep(70) + `\"["]`, "", ""},
	}
	for _, c := range cases {
		for rule, want := range map[PayloadRule]string{Auto: c.auto, JSON: c.json, Text: c.text, Binary: c.binary} {
			if want == "" {
				continue
			}
			pubs, err := Greenroom.Parse(frames("r", c.in), Format{Payload: rule}.withDefaults())
			got := ""
			if err != nil {
				got = err.(*Refusal).Reason
			} else {
				got = strings.TrimPrefix(describe(pubs[0]), "/ r message ")
			}
			if got != want {
				t.Errorf("%s under rule %d: %.100s, want %.100s", c.name, rule, got, want)
			}
		}
	}
}
