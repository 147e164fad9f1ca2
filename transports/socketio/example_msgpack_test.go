package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

// One room for clients with either parser: two servers of one hub.
func ExampleParser() {
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
	plain := socketio.New(h, socketio.Options{})
	defer plain.Close(context.Background())
	packed := socketio.New(h, socketio.Options{
		Parser: socketio.Msgpack,
		Engine: engineio.Options{Path: "/packed/"},
	})
	defer packed.Close(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", plain)
	mux.Handle("/packed/", packed)
	web := httptest.NewServer(mux)
	defer web.Close()

	ann := &person{name: "Ann"}
	if err := errors.Join(ann.open(web.URL), ann.join()); err != nil {
		fmt.Println(err)
		return
	}
	defer ann.conn.Close()
	// Bo sends what io("/", { path: "/packed", auth: { name: "Bo" }, parser }).emit("say", "hello") sends.
	bo, _, _, err := ws.Dial(context.Background(), strings.Replace(web.URL, "http", "ws", 1)+"/packed/?EIO=4&transport=websocket")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bo.Close()
	err = errors.Join(
		wsutil.WriteClientBinary(bo, []byte("\x83\xa4type\x00\xa4data\x81\xa4name\xa2Bo\xa3nsp\xa1/")),
		ann.hear(),
		wsutil.WriteClientBinary(bo, []byte("\x83\xa4type\x02\xa4data\x92\xa3say\xa5hello\xa3nsp\xa1/")),
		ann.hear(),
	)
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// Ann hears 42["joined",{"name":"Bo"}]
	// Ann hears 42["said","hello"]
}
