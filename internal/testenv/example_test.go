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
			Env:   []string{"GREENROOM_HTTP_LISTEN=" + addr},
			Ready: testenv.ReadyHTTP("http://" + addr + "/healthz"),
		})
		testenv.RunNode(t, testenv.JS(t), "relay.test.mjs", "GREENROOM_URL=http://"+addr)
	}
	// Output:
}
