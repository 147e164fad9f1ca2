package adminui

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"greenroom/hub"
)

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("a bug") }

type fails struct{}

func (fails) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

func TestData(t *testing.T) {
	for _, c := range []struct {
		data any
		want string
	}{
		{nil, `{}`},
		{map[string]any{"a": 1}, `{"a":1}`},
		{struct{ Name string }{"x"}, `{"Name":"x"}`},
		{json.RawMessage(`{"a": 1}`), `{"a":1}`},
		{json.RawMessage(nil), `{"value":null}`},
		{7, `{"value":7}`},
		{"text", `{"value":"text"}`},
		{[]int{1}, `{"value":[1]}`},
		{(*int)(nil), `{"value":null}`},
		{strings.Repeat("x", maxData), `{"[greenroom]":"8194 bytes"}`},
		{func() {}, `{"[greenroom]":"no JSON: json: unsupported type: func()"}`},
		{panics{}, `{"[greenroom]":"no JSON: a bug"}`},
		{fails{}, `{"[greenroom]":"no JSON: json: error calling MarshalJSON for type adminui.fails: no"}`},
	} {
		if got := string(dataJSON(c.data)); got != c.want {
			t.Errorf("%v: %s, want %s", c.data, got, c.want)
		}
	}
}

func TestEventArgs(t *testing.T) {
	long := strings.Repeat("x", maxArgs)
	for _, c := range []struct {
		p    hub.Payload
		want string
	}{
		{hub.Payload{JSON: []byte(`["a",1,{"b":null}]`)}, `["a",1,{"b":null}]`},
		{hub.Payload{JSON: []byte(`["a","` + long + `"]`)}, `["a",{"[greenroom]":"8200 bytes of arguments"}]`},
		{hub.Payload{JSON: []byte(`["` + long + `"]`)}, `["?"]`},
		{hub.Payload{JSON: []byte(`["a",[{"_placeholder":true,"num":0}],{"b":{"_placeholder":true,"num":1}}]`), Attachments: [][]byte{{1}, {2, 3}}},
			`["a",["[binary, 1 bytes]"],{"b":"[binary, 2 bytes]"}]`},
	} {
		if got := string(eventArgs(c.p)); got != c.want {
			t.Errorf("%.80s: %.200s, want %s", c.p.JSON, got, c.want)
		}
	}
}

func TestDescribeRequest(t *testing.T) {
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&a=1&a=2&long="+strings.Repeat("é", maxHeader), nil)
	r.RemoteAddr = "[2001:db8::1]:80"
	r.Host = "rooms.example"
	for name, value := range map[string]string{
		"Cookie": "id=secret", "Authorization": "Bearer secret", "Proxy-Authorization": "Basic secret", "Origin": "https://a.example",
		"X-Long": strings.Repeat("é", maxHeader),
	} {
		r.Header.Set(name, value)
	}
	hs := &hub.Handshake{Request: hub.NewRequest(r), Auth: json.RawMessage(`{"token":"secret"}`)}
	hs.Issued = time.UnixMilli(1795520515961)
	got := describeRequest(hs)
	if b, err := json.Marshal(got); err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("%s, %v", b, err)
	}
	for name, value := range map[string]string{got.Headers["x-long"]: "é", got.URL: "", got.Query["long"]: "é"} {
		if len(name) > maxHeader+len("…") || !utf8.ValidString(name) || !strings.HasSuffix(name, value+"…") {
			t.Errorf("cut to %d bytes: %q", len(name), name)
		}
	}
	delete(got.Headers, "x-long")
	delete(got.Query, "long")
	got.URL = ""
	want := handshake{
		Address: "2001:db8::1",
		Headers: map[string]string{"host": "rooms.example", "origin": "https://a.example", "cookie": "[hidden]", "authorization": "[hidden]", "proxy-authorization": "[hidden]"},
		Query:   map[string]string{"EIO": "4", "a": "1, 2"},
		Issued:  1795520515961, Time: "Tue Nov 24 2026 11:41:55 GMT+0000 (Coordinated Universal Time)", XDomain: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	if got := describeRequest(&hub.Handshake{Request: hub.NewRequest(r)}).Address; got != "192.0.2.7" {
		t.Error(got)
	}
	r.Header.Set("Cf-Connecting-Ip", "192.0.2.8")
	if got := describeRequest(&hub.Handshake{Request: hub.NewRequest(r)}).Address; got != "192.0.2.8" {
		t.Error(got)
	}
	if got := describeRequest(nil); got.Headers == nil || got.Query == nil {
		t.Error("null instead of objects")
	}
}
