package zeromq_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq"
)

// A hub with both directions: what is pushed at one endpoint reaches the room, and everybody who
// subscribes to the room at the other.
func Example() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	h.Of("/") // the namespace that publishers publish into
	bridge, err := zeromq.Listen(h, zeromq.Options{
		Pull: "tcp://127.0.0.1:*",
		Pub:  "tcp://127.0.0.1:*",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bridge.Close()

	ctx := context.Background()
	ears, err := zeromq.Subscribe(ctx, bridge.Addr("pub"), "lobby")
	if err != nil {
		log.Fatal(err)
	}
	defer ears.Close()
	for bridge.Subscribers("/", "lobby") == 0 { // the subscription is under way
		time.Sleep(time.Millisecond)
	}

	mouth, err := zeromq.Push(ctx, bridge.Addr("pull"))
	if err != nil {
		log.Fatal(err)
	}
	if err := mouth.Send([]byte("lobby"), []byte("price"), []byte(`{"eur": 4.2}`)); err != nil {
		log.Fatal(err)
	}
	if err := mouth.Close(); err != nil { // nil: the server has read it all
		log.Fatal(err)
	}

	frames, err := ears.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", bytes.Join(frames[:3], []byte(" ")))
	// Output: lobby price {"eur":4.2}
}

// The other side may be any ZeroMQ library. This is the socket of the Go one.
func Example_stockSocket() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	h.Of("/")
	heard := make(chan *hub.Message, 1)
	h.Tap(func(m *hub.Message) { heard <- m })
	bridge, err := zeromq.Listen(h, zeromq.Options{Pull: "tcp://127.0.0.1:*", Principal: "thermometer"})
	if err != nil {
		log.Fatal(err)
	}
	defer bridge.Close()

	push := zmq4.NewPush(context.Background())
	defer push.Close()
	if err := push.Dial(bridge.Addr("pull")); err != nil {
		log.Fatal(err)
	}
	if err := push.SendMulti(zmq4.NewMsgFrom([]byte("kitchen"), []byte("celsius"), []byte("21"))); err != nil {
		log.Fatal(err)
	}
	m := <-heard
	fmt.Println(m.Room, m.Event, m.From.Name, m.Via)
	// Output: kitchen celsius thermometer zeromq
}

// weather reads what the ZeroMQ guide's weather server sends: one frame, "zip temperature humidity".
type weather struct{}

func (weather) Parse(frames [][]byte, f zeromq.Format) ([]hub.Publication, error) {
	zip, rest, ok := bytes.Cut(frames[0], []byte(" "))
	if len(frames) != 1 || !ok {
		return nil, &zeromq.Refusal{Reason: "weather_bad_shape", Detail: "want one frame: zip temperature humidity"}
	}
	return []hub.Publication{{Namespace: f.Namespace, Room: string(zip), Event: f.Event, Args: []any{string(rest)}}}, nil
}

// Publishers that cannot be changed get a layout of their own. What it refuses is counted under its reason.
func ExampleLayout() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	h.Of("/")
	heard := make(chan *hub.Message, 1)
	h.Tap(func(m *hub.Message) { heard <- m })
	bridge, err := zeromq.Listen(h, zeromq.Options{
		Pull:       "tcp://127.0.0.1:*",
		PullFormat: zeromq.Format{Layout: weather{}, Event: "weather"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bridge.Close()
	server, err := zeromq.Push(context.Background(), bridge.Addr("pull"))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	for _, message := range []string{"nonsense", "10001 23 45"} {
		if err := server.Send([]byte(message)); err != nil {
			log.Fatal(err)
		}
	}
	m := <-heard
	fmt.Println(m.Room, m.Event, "refused:", h.Counters()["weather_bad_shape"])
	// Output: 10001 weather refused: 1
}
