package redis

import (
	"slices"
	"testing"

	"greenroom/internal/testenv"
)

// The thinnest path: a message to a room, from each kind of node to the other.
func TestClassicWithNodeJS(t *testing.T) {
	r := testenv.StartRedis(t)
	peer := peerNode(t, r, "classic", nil)
	node := newGoNode(t, "n0", Options{URL: r.URL()})
	auth := map[string]any{"auth": map[string]any{"rooms": []string{"room"}}}
	peer.Client(testenv.PeerClient{Name: "there", URL: peer.URL, Options: auth})
	peer.Client(testenv.PeerClient{Name: "here", URL: node.url, Options: auth})

	peer.Run(`io.to("room").emit("hello", 1, "two", {three: [null, true]}, args[0])`, map[string]any{"$bin": "AQL/"})
	want := `["hello",1,"two",{"three":[null,true]},{"$bin":"AQL/"}]`
	for _, client := range []string{"here", "there"} {
		if got := peer.WaitHeard(client, 1); !slices.Equal(got, []string{want}) {
			t.Errorf("client %s got %q", client, got)
		}
	}
	if err := node.hub.To("room").Emit("hello", 1, "two", map[string]any{"three": []any{nil, true}}, []byte{1, 2, 255}); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"here", "there"} {
		if got := peer.WaitHeard(client, 2); !slices.Equal(got, []string{want, want}) {
			t.Errorf("client %s got %q", client, got)
		}
	}
}
