// Command centrifuge is the peer github.com/centrifugal/centrifuge, the engine of Centrifugo. It speaks a protocol
// of its own, here as JSON over WebSocket at /connection/websocket:
//
//	centrifuge PORT [deflate|idle]
//
// What the Socket.IO peers call join, pub and echo are a subscription to a channel, a publication by a client,
// and the RPC "echo".
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: centrifuge PORT [deflate|idle]")
	}
	mode := ""
	if len(os.Args) > 2 {
		mode = os.Args[2]
	}
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:   centrifuge.LogLevelError,
		LogHandler: func(e centrifuge.LogEntry) { log.Println(e.Message, e.Fields) },
	})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "u"}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(_ centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			reply(centrifuge.PublishReply{}, nil)
		})
		c.OnRPC(func(e centrifuge.RPCEvent, reply centrifuge.RPCCallback) {
			reply(centrifuge.RPCReply{Data: e.Data}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, options(mode)))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

// options are what its documentation recommends. WriteDelay, which collects messages for a while before it writes
// them, stays off, as by default: its documentation offers it for many messages a connection at the price of
// latency, and the others do not delay either.
func options(mode string) centrifuge.WebsocketConfig {
	c := centrifuge.WebsocketConfig{UseWriteBufferPool: true} // write buffers are not held by idle connections
	switch mode {
	case "deflate":
		c.Compression = true
		c.CompressionPreparedMessageCacheSize = 16 << 20 // one compression a broadcast; the fastest that it offers
	case "idle":
		// For "large pools of mostly-idle connections" these two are its documented way to less memory.
		c.ReadBufferSize = 512
		c.ProcessCommandsOffReadLoop = true
	}
	return c
}
