package hub

import (
	"bufio"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unsafe"
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

// Sessions of one page share its texts, in whatever order a map has the headers.
func TestEqualRequestsShareTexts(t *testing.T) {
	h := http.Header{"Origin": {"https://a.example"}, "User-Agent": {"x"}, "Accept-Language": {"en"}, "Sec-Fetch-Mode": {"websocket"}}
	request := func() *Request {
		return NewRequest(&http.Request{RequestURI: "/shared/?EIO=4", Host: "a.example", Header: h})
	}
	first := request()
	for range 20 {
		r := request()
		if r.headers != first.headers || unsafe.StringData(r.headers) != unsafe.StringData(first.headers) ||
			unsafe.StringData(r.URL) != unsafe.StringData(first.URL) {
			t.Fatalf("%q and %q are two texts", first.headers, r.headers)
		}
	}
	long := &http.Request{RequestURI: "/" + strings.Repeat("a", maxCommon), Host: "a.example"}
	if a, b := NewRequest(long).URL, NewRequest(long).URL; a != b || unsafe.StringData(a) == unsafe.StringData(b) {
		t.Error("a long text is remembered")
	}
}
