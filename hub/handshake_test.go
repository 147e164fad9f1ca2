package hub

import (
	"bufio"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestRequestKeepsHeadersAndQuery(t *testing.T) {
	text := "GET /socket.io/?EIO=4&room=a%20b&room=c&bad=%zz HTTP/1.1\r\n" +
		"Host: chat.example\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n" +
		"Cookie: a=1\r\nX-Twice: one: 1\r\nX-Twice: two\r\nX-Empty:\r\n\r\n"
	hr, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRequest(hr)
	want := http.Header{"Host": {"chat.example"}, "Cookie": {"a=1"}, "X-Twice": {"one: 1", "two"}, "X-Empty": {""}}
	if got := r.Header(); !reflect.DeepEqual(got, want) {
		t.Errorf("headers %q, want %q", got, want)
	}
	if got := r.Query(); got.Get("EIO") != "4" || !reflect.DeepEqual(got["room"], []string{"a b", "c"}) || got.Has("bad") {
		t.Errorf("query %q", got)
	}
	if r.XDomain || r.Secure || r.URL != "/socket.io/?EIO=4&room=a%20b&room=c&bad=%zz" {
		t.Errorf("%+v", r)
	}
}
