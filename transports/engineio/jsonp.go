package engineio

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
)

// JSONP is how protocol 3 polls in browsers that cannot make requests to other origins: the answer to a GET is a
// script that calls ___eio[j] with the body as a string, and the body of a POST is the field `d` of a form.

// jsonpScript makes an answer's body the script that the request's `j` asks for. Of j only the digits count, so
// that nobody can have us say anything else in front of the bracket.
func jsonpScript(j string, body []byte) []byte {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, j)
	var w bytes.Buffer
	w.WriteString("___eio[" + digits + "](")
	enc := json.NewEncoder(&w) // which escapes U+2028 and U+2029, that end a line of a script
	enc.SetEscapeHTML(false)
	_ = enc.Encode(string(body)) // a string always encodes
	w.Truncate(w.Len() - len("\n"))
	w.WriteString(");")
	return w.Bytes()
}

// jsonpBody takes the payload out of a form. Browsers change line ends in forms, so that the client writes a line
// end as `\n`, and `\n` as `\\n`. Of anything else nothing is left, which is no body.
func jsonpBody(form []byte) []byte {
	var field string
	found := 0
	for pair := range strings.SplitSeq(string(form), "&") {
		if value, ok := strings.CutPrefix(pair, "d="); ok {
			field = value
			found++
		}
	}
	if found != 1 {
		return nil
	}
	text, err := url.QueryUnescape(field)
	if err != nil {
		return nil
	}
	return []byte(jsonpNewlines.Replace(text))
}

// jsonpNewlines looks for its first string first.
var jsonpNewlines = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")
