package testenv_test

import (
	"testing"

	"greenroom/internal/testenv"
)

// A server on a free port, asked by the official JavaScript client.
func Example() {
	_ = func(t *testing.T) {
		addr := testenv.FreeAddr(t)
		testenv.Start(t, testenv.Command{
			Path:  testenv.Build(t, "greenroom/cmd/greenroom"),
			Args:  []string{"serve", "--listen", addr, "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off"},
			Ready: testenv.ReadyHTTP("http://" + addr + "/healthz"),
		})
		testenv.RunNode(t, testenv.JS(t), "relay.test.mjs", "GREENROOM_URL=http://"+addr)
	}
	// Output:
}
