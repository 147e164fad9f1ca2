package zmq_test

import (
	"fmt"

	"greenroom/coop"
	"greenroom/transports/zeromq/zmq"
)

// One greenlet serves, another asks.
func Example() {
	_ = coop.Run(func(g *coop.Greenlet) error {
		rep, err := zmq.New(zmq.REP, zmq.Options{})
		if err != nil {
			return err
		}
		defer rep.Close(g)
		at, err := rep.Listen(g, "tcp://127.0.0.1:*")
		if err != nil {
			return err
		}
		server := g.Spawn(func(g *coop.Greenlet) error {
			for {
				q, err := rep.Recv(g)
				if err != nil {
					return err
				}
				if err := rep.Send(g, []byte("hello, "+string(q[0]))); err != nil {
					return err
				}
			}
		})
		defer server.Kill()

		req, err := zmq.New(zmq.REQ, zmq.Options{})
		if err != nil {
			return err
		}
		defer req.Close(g)
		if err := req.Dial(at); err != nil {
			return err
		}
		if err := req.Send(g, []byte("world")); err != nil {
			return err
		}
		answer, err := req.Recv(g)
		fmt.Println(string(answer[0]), err)
		return nil
	})
	// Output: hello, world <nil>
}
