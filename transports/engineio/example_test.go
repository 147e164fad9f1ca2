package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// The least that a protocol of messages without rooms needs: what a room's
// message would look like on the two wires.
var wires = engineio.Wires{
	WebSocket: hub.RegisterWire("example websocket", func(m *hub.Message) []byte {
		return engineio.EncodeWebSocket(m.Payload.JSON, m.Payload.Attachments)
	}),
	Polling: hub.RegisterWire("example polling", func(m *hub.Message) []byte {
		return engineio.EncodePolling(m.Payload.JSON, m.Payload.Attachments)
	}),
}

// echo sends every message back.
type echo struct{ closed chan string }

func (e echo) OnMessage(s *engineio.Socket, data []byte, binary bool) {
	if binary {
		s.SendBinary(bytes.Clone(data)) // data is the loop's
		return
	}
	s.SendText(bytes.Clone(data))
}

func (e echo) OnClose(_ *engineio.Socket, reason string) { e.closed <- reason }

// A server that echoes, and a client that polls.
func Example() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	closed := make(chan string, 1)
	srv := engineio.New(h, engineio.Options{Path: "/engine.io/", Wires: wires},
		func(*engineio.Socket) engineio.Handler { return echo{closed} })
	front := httptest.NewServer(srv)
	defer front.Close()

	url := front.URL + "/engine.io/?EIO=4&transport=polling"
	open := request("GET", url, "")
	sid := open[len(`0{"sid":"`):][:20]
	fmt.Println(strings.Replace(open, sid, "…", 1))

	url += "&sid=" + sid
	fmt.Println(request("POST", url, "4hello\x1ebAQID"))
	fmt.Printf("%q\n", request("GET", url, ""))

	fmt.Println(request("POST", url, "1"))
	fmt.Println(<-closed)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
	// ok
	// "4hello\x1ebAQID"
	// ok
	// transport close
}

func request(method, url, body string) string {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// The packets of a polling body, one after the other.
func ExampleNextPacket() {
	body := []byte("4hello\x1ebAQID\x1e1")
	for more := true; more; {
		var p engineio.Packet
		var err error
		if p, body, more, err = engineio.NextPacket(body); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%v %q binary=%v\n", p.Type, p.Data, p.Binary)
	}
	// Output:
	// message "hello" binary=false
	// message "\x01\x02\x03" binary=true
	// close "" binary=false
}

// One message with an attachment, as a polling body and as WebSocket frames.
func ExampleEncodePolling() {
	text, attachments := []byte(`51-["photo",{"_placeholder":true,"num":0}]`), [][]byte{{1, 2, 3}}
	fmt.Printf("%q\n", engineio.EncodePolling(text, attachments))
	frames := engineio.EncodeWebSocket(text, attachments)
	fmt.Printf("% x … % x\n", frames[:2], frames[len(frames)-5:])
	// Output:
	// "451-[\"photo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID"
	// 81 2b … 82 03 01 02 03
}

// Pages of other origins are refused unless they are listed; AllowRequest adds
// rules of one's own.
func ExampleOptions() {
	o := engineio.Options{
		PingInterval: 20 * time.Second,
		MaxPayload:   64 << 10,
		CORS:         engineio.CORS{AllowedOrigins: []string{"https://app.example.com"}, Credentials: true},
		AllowRequest: func(r *http.Request, _ http.Header) error {
			if r.Header.Get("Authorization") == "" {
				return fmt.Errorf("no token")
			}
			return nil
		},
		Wires: wires,
	}
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	srv := engineio.New(h, o, func(*engineio.Socket) engineio.Handler { return echo{} })
	ask := func(origin, token string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", origin)
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		srv.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Origin"), w.Body.String()[:9])
	}
	ask("https://app.example.com", "Bearer abc")
	ask("https://app.example.com", "")
	ask("https://evil.example", "Bearer abc")
	// Output:
	// 200 https://app.example.com 0{"sid":"
	// 403 https://app.example.com {"code":4
	// 403 https://app.example.com {"code":4
}
