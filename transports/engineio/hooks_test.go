package engineio

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder collects what hooks are told.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
}

// take returns what was seen since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// Section 1.4: the event connection_error, with code, message and context, for requests and for upgrades.
func TestConnectionErrors(t *testing.T) {
	var rec recorder
	idError := false
	s := serve(t, Options{
		CORS:  CORS{AllowedOrigins: []string{"http://a.example"}},
		Hosts: []string{"127.0.0.1", "chat.example"},
		AllowRequest: func(r *http.Request, _ http.Header) error {
			if deny := r.URL.Query()["deny"]; deny != nil {
				return errors.New(deny[0])
			}
			return nil
		},
		GenerateID: func(*http.Request) (string, error) {
			if idError {
				return "", errors.New("no id")
			}
			return "an-id", nil
		},
		OnConnectionError: func(e ConnectionError) {
			context, err := json.Marshal(e.Context)
			if err != nil || e.Request == nil || e.Request.URL.Path != "/socket.io/" {
				t.Errorf("%+v %v", e, err)
			}
			rec.add(string('0'+rune(e.Code)) + " " + e.Message + " " + string(context))
		},
	})
	p := s.poll(t)
	sid := "&sid=" + p.sid
	tests := []struct {
		row, method, target string
		headers             []string
		want                string
	}{
		{"0: no transport", "GET", "/socket.io/?EIO=4", nil, `0 Transport unknown {}`},
		{"0: unknown transport", "GET", "/socket.io/?EIO=4&transport=abc", nil, `0 Transport unknown {"transport":"abc"}`},
		{"0: __proto__", "GET", "/socket.io/?EIO=4&transport=__proto__", nil, `0 Transport unknown {"transport":"__proto__"}`},
		{"1: unknown sid", "GET", pollTarget + "&sid=nope", nil, `1 Session ID unknown {"sid":"nope"}`},
		{"1: POST, unknown sid", "POST", pollTarget + "&sid=nope", nil, `1 Session ID unknown {"sid":"nope"}`},
		{"3: TRANSPORT_MISMATCH", "GET", wsTarget + sid, nil,
			`3 Bad request {"name":"TRANSPORT_MISMATCH","previousTransport":"polling","transport":"websocket"}`},
		{"3: PROTOCOL_MISMATCH", "GET", strings.Replace(pollTarget, "EIO=4", "EIO=3", 1) + sid, nil,
			`3 Bad request {"name":"PROTOCOL_MISMATCH","previousProtocol":4,"protocol":3}`},
		{"2: method", "POST", pollTarget, nil, `2 Bad handshake method {"method":"POST"}`},
		{"3: TRANSPORT_HANDSHAKE_ERROR", "GET", wsTarget, nil, `3 Bad request {"name":"TRANSPORT_HANDSHAKE_ERROR"}`},
		{"4: allowRequest, a message", "GET", pollTarget + "&deny=some+reason", nil, `4 Forbidden {"message":"some reason"}`},
		{"4: allowRequest, no message", "GET", pollTarget + "&deny=", nil, `4 Forbidden {"message":"Forbidden"}`},
		{"4: foreign origin", "GET", pollTarget, []string{"Origin", "http://evil.example"}, `4 Forbidden {"message":"Forbidden"}`},
		{"4: foreign host", "GET", pollTarget, []string{"Host", "evil.example"}, `4 Forbidden {"message":"Host not served here"}`},
		{"5: no version", "GET", "/socket.io/?transport=polling", nil, `5 Unsupported protocol version {"protocol":3}`},
		{"5: other version", "GET", "/socket.io/?transport=polling&EIO=5", nil, `5 Unsupported protocol version {"protocol":3}`},
		{"3: ID_GENERATION_ERROR", "GET", pollTarget + "&broken", nil, `3 Bad request {"name":"ID_GENERATION_ERROR"}`},
		{"upgrade, 0", "UPGRADE", "/socket.io/?EIO=4&transport=abc", nil, `0 Transport unknown {"transport":"abc"}`},
		{"upgrade, 1", "UPGRADE", wsTarget + "&sid=zz", nil, `1 Session ID unknown {"sid":"zz"}`},
		{"upgrade, 4", "UPGRADE", wsTarget + "&deny=some+reason", nil, `4 Forbidden {"message":"some reason"}`},
		{"upgrade, 5", "UPGRADE", "/socket.io/?EIO=abc&transport=websocket", nil, `5 Unsupported protocol version {"protocol":3}`},
		{"not ours: a bad key", "UPGRADE", wsTarget, []string{"Sec-WebSocket-Key", "abc"}, ""},
		{"a session's own trouble", "PUT", pollTarget + sid, nil, ""},
		{"a session's too large body", "POST", pollTarget + sid, []string{"Content-Type", "application/octet-stream"}, ""},
	}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			idError = strings.Contains(c.target, "&broken")
			rec.take()
			if c.method == "UPGRADE" {
				conn := s.dial(t)
				conn.write(upgradeRequest(c.target, c.headers...))
				if a := conn.response(); a.status != 400 {
					t.Error(a)
				}
			} else if a := s.do(c.method, c.target, "", c.headers...); a.status < 400 {
				t.Error(a)
			}
			if got := strings.Join(rec.take(), "|"); got != c.want {
				t.Errorf("told %s, wanted %s", got, c.want)
			}
		})
	}
}

// A poll after the upgrade is the mismatch that clients see in practice.
func TestConnectionErrorAfterTheUpgrade(t *testing.T) {
	var rec recorder
	s := serve(t, Options{OnConnectionError: func(e ConnectionError) {
		rec.add(e.Message + " " + e.Context["name"].(string) + " " + e.Context["previousTransport"].(string))
	}})
	p := s.poll(t)
	c := p.upgraded()
	c.text("4x")
	c.wantText("4x")
	p.wantLeft()
	want := []string{"Bad request TRANSPORT_MISMATCH websocket", "Bad request TRANSPORT_MISMATCH websocket"}
	if got := rec.take(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

// A session of either protocol asked for by the other one.
func TestConnectionErrorOfMixedProtocols(t *testing.T) {
	var rec recorder
	s := serve(t, Options{AllowEIO3: true, OnConnectionError: func(e ConnectionError) {
		rec.add(fmt.Sprint(e.Context["name"], " ", e.Context["protocol"], " ", e.Context["previousProtocol"]))
	}})
	s.do("GET", pollTarget3+"&sid="+s.poll(t).sid, "")
	s.do("GET", pollTarget+"&sid="+s.poll3(t, "").sid, "")
	if got := rec.take(); !slices.Equal(got, []string{"PROTOCOL_MISMATCH 3 4", "PROTOCOL_MISMATCH 4 3"}) {
		t.Errorf("told %q", got)
	}
}

// Section 7.1: initial_headers and headers.
func TestHeaderHooks(t *testing.T) {
	s := serve(t, Options{
		OnInitialHeaders: func(h http.Header, r *http.Request) { h.Set("X-First", r.URL.Query().Get("transport")) },
		OnHeaders: func(h http.Header, r *http.Request) {
			h.Set("X-All", r.Method)
			h.Del("Cache-Control")
			delete(h, "cache-control")
		},
	})
	check := func(name string, a answer, status int, first, all string) {
		t.Helper()
		if a.status != status || a.header.Get("X-First") != first || a.header.Get("X-All") != all || a.header.Get("Cache-Control") != "" {
			t.Errorf("%s: %v %v", name, a, a.header)
		}
	}
	a := s.do("GET", pollTarget, "")
	check("polling handshake", a, 200, "polling", "GET")
	p := &poller{t, s, parseOpen(t, a.body).SID}
	check("POST", p.post("4x"), 200, "", "POST")
	check("GET", p.get(), 200, "", "GET")
	check("a refusal", s.do("GET", "/socket.io/", ""), 400, "", "")
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget))
	check("WebSocket handshake", conn.response(), 101, "websocket", "GET")
	conn = s.dial(t)
	conn.write(upgradeRequest(wsTarget + "&sid=" + p.sid))
	check("upgrade", conn.response(), 101, "", "GET")
}

// A hook that panics breaks its own request only.
func TestHookThatPanics(t *testing.T) {
	s := serve(t, Options{OnHeaders: func(_ http.Header, r *http.Request) {
		if r.URL.Query().Has("panic") {
			panic("a bug of the application's")
		}
	}})
	p := s.poll(t)
	for _, target := range []string{wsTarget + "&panic", wsTarget + "&panic&sid=" + p.sid} {
		conn := s.dial(t)
		conn.write(upgradeRequest(target))
		conn.wantEOF()
	}
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	c := p.upgraded()
	c.text("4x")
	c.wantText("4x")
}

// Section 7.1: io.engine.use, in front of everything, the first one first.
func TestMiddlewares(t *testing.T) {
	s := serve(t, Options{CORS: CORS{AllowedOrigins: []string{"*"}}})
	var rec recorder
	for _, name := range []string{"a", "b"} {
		s.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec.add(name)
				w.Header().Add("X-Seen", name)
				if r.URL.Query().Get("stop") == name {
					http.Error(w, "stopped by "+name, http.StatusTeapot)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
	}
	tests := []struct {
		row, method, target string
		status              int
		seen                string
	}{
		{"handshake", "GET", pollTarget, 200, "a b"},
		{"refusal", "GET", "/socket.io/", 400, "a b"},
		{"preflight", "OPTIONS", pollTarget, 204, "a b"},
		{"upgrade", "UPGRADE", wsTarget, 101, "a b"},
		{"stopped by the first", "GET", pollTarget + "&stop=a", http.StatusTeapot, "a"},
		{"stopped by the second", "GET", pollTarget + "&stop=b", http.StatusTeapot, "a b"},
		{"stopped upgrade", "UPGRADE", wsTarget + "&stop=a", http.StatusTeapot, "a"},
		{"not our path", "GET", "/other", 404, ""},
	}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			rec.take()
			var a answer
			if c.method == "UPGRADE" {
				conn := s.dial(t)
				conn.write(upgradeRequest(c.target))
				a = conn.response()
			} else {
				a = s.do(c.method, c.target, "")
			}
			got := strings.Join(rec.take(), " ")
			if a.status != c.status || got != c.seen || strings.Join(a.header["X-Seen"], " ") != c.seen {
				t.Errorf("%v, seen by %q, headers %v", a, got, a.header)
			}
		})
	}
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 1 }) // the WebSocket is closed
}
