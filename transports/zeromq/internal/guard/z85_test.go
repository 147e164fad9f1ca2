package guard

import (
	"strings"
	"testing"
)

func TestZ85(t *testing.T) {
	// RFC 32's test key.
	const text = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
	want := unhex(t, "8e0bdd697628b91d8f245587ee95c5b04d48963f79259877b49cd9063aead3b7")
	k, err := DecodeKey(text)
	if err != nil || string(k[:]) != string(want) {
		t.Fatalf("%x, %v", k, err)
	}
	if got := EncodeKey(k); got != text {
		t.Fatal(got)
	}
	for _, bad := range []string{"", text[1:], text + "0", " " + text[1:], "\"" + text[1:], strings.Repeat("#", KeyText), strings.Repeat("é", KeyText/2)} {
		if _, err := DecodeKey(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}
