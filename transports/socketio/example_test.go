package socketio_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"greenroom/hub"
	"greenroom/transports/socketio"
)

// A chat as straight-line code: one greenlet per client.
func chat(h *hub.Hub) func(*hub.Session) error {
	return func(s *hub.Session) error {
		s.Join("lobby")
		s.To("lobby").Emit("joined", s.Handshake().Auth)
		for ev := range s.Events() { // parks this greenlet, not a thread; ends when the client leaves
			var text string
			switch {
			case ev.Match("say", &text): // a say without a text is refused, and its ack gets the error
				s.To("lobby").Emit("said", text) // everyone in the room but me
				ev.Ack(len(text))
			}
		}
		h.To("lobby").Emit("left", s.Reason())
		return nil
	}
}

func ExampleNew() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	if err := h.Handle("/", chat(h)); err != nil {
		fmt.Println(err)
		return
	}
	srv := socketio.New(h, socketio.Options{})
	defer srv.Close(context.Background())
	web := httptest.NewServer(srv) // http.ListenAndServe("127.0.0.1:3000", srv)
	defer web.Close()

	if err := talk(web.URL); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Ann hears 42["joined",{"name":"Bo"}]
	// Ann hears 430[5]
	// Bo hears 42["said","hello"]
	// Ann hears 431[{"error":{"code":"bad_arguments","message":"say: want 1 argument, got 0"},"ok":false}]
	// Ann hears 42["left","client namespace disconnect"]
}

// A middleware decides who comes in, before the client is told that it is connected.
func ExampleNew_middleware() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	h.Of("/members").Use(func(s *hub.Session) error {
		if !strings.Contains(string(s.Handshake().Auth), `"token":"secret"`) {
			return &hub.ConnectError{Message: "not authorized", Data: map[string]int{"retryAfter": 60}}
		}
		return nil
	})
	h.Handle("/members", hub.Events{"double": func(n int) int { return 2 * n }})
	srv := socketio.New(h, socketio.Options{})
	defer srv.Close(context.Background())
	web := httptest.NewServer(srv)
	defer web.Close()

	eve := &person{name: "Eve"}
	err = errors.Join(
		eve.open(web.URL),
		eve.send(`40/members,{"token":"guessed"}`),
		eve.hear(),
		eve.send(`40/no-members`),
		eve.hear(),
		eve.conn.Close(),
	)
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// Eve hears 44/members,{"message":"not authorized","data":{"retryAfter":60}}
	// Eve hears 44/no-members,{"message":"Invalid namespace"}
}

// The codec alone.
func ExampleDecode() {
	p, err := socketio.Decode([]byte(`2/chat,7["say","hello"]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s in %s, ack %d, %s\n", p.Event, p.Namespace, p.ID, p.JSON)
	_, err = socketio.Decode([]byte(`2["disconnect"]`))
	fmt.Println(err)
	// Output:
	// say in /chat, ack 7, ["say","hello"]
	// socketio: invalid payload: reserved event name
}

// talk is two clients at once.
func talk(addr string) error {
	ann, bo := &person{name: "Ann"}, &person{name: "Bo"}
	return errors.Join(
		ann.open(addr), ann.join(),
		bo.open(addr), bo.join(),
		ann.hear(),
		ann.send(`420["say","hello"]`), ann.hear(), bo.hear(),
		ann.send(`421["say"]`), ann.hear(),
		bo.send(`41`), ann.hear(),
		ann.conn.Close(),
		bo.conn.Close(),
	)
}

// person is a client that speaks the protocol by hand, which real ones do not.
type person struct {
	name string
	conn net.Conn
}

func (p *person) open(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, early, _, err := ws.Dial(ctx, strings.Replace(addr, "http", "ws", 1)+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return err
	}
	if early != nil { // the first packet came with the answer to the upgrade
		conn = buffered{conn, early}
	}
	p.conn = conn
	_, err = p.read() // the open packet
	return err
}

// join connects to the namespace "/".
func (p *person) join() error {
	err := p.send(fmt.Sprintf(`40{"name":%q}`, p.name))
	_, readErr := p.read() // the session's id
	return errors.Join(err, readErr)
}

func (p *person) send(packet string) error { return wsutil.WriteClientText(p.conn, []byte(packet)) }

// hear prints the next packet.
func (p *person) hear() error {
	text, err := p.read()
	if err == nil {
		fmt.Println(p.name, "hears", text)
	}
	return err
}

func (p *person) read() (string, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	text, err := wsutil.ReadServerText(p.conn)
	return string(text), err
}

// buffered reads what came early first.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }
