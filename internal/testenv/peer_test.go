package testenv

import (
	"slices"
	"testing"
)

func TestPeer(t *testing.T) {
	p := NewPeer(t)
	p.Serve(PeerNode{Adapter: "none"})
	id := p.Client(PeerClient{
		Name: "a", URL: p.URL, Answer: `(event, x) => event === "ask" ? x + 1 : undefined`,
		Options: map[string]any{"auth": map[string]any{"rooms": []string{"r"}, "data": map[string]any{"n": 1}}},
	})
	if got := p.Run(`(await io.fetchSockets()).map((s) => [s.id, [...s.rooms], s.data])`); got != `[["`+id+`",["`+id+`","r"],{"n":1}]]` {
		t.Errorf("sockets %s", got)
	}
	p.Run(`io.to("r").emit("e", args[0], new Date(5), -0, [undefined])`, map[string]any{"$bin": "AQI="})
	want := []string{`["e",{"$bin":"AQI="},"1970-01-01T00:00:00.005Z",0,[null]]`} // as JSON makes of them
	if got := p.WaitHeard("a", 1); !slices.Equal(got, want) {
		t.Errorf("heard %q", got)
	}
	if got := p.Run(`io.timeout(5000).emitWithAck("ask", 1)`); got != "[2]" {
		t.Errorf("answers %s", got)
	}
	if _, err := p.Try(`throw new Error("no")`); err == nil || err.Error() != "no" {
		t.Errorf("error %v", err)
	}
	p.Close()
	p.Wait("the client's end", func() bool { return len(p.States("a")) == 2 })
	if got := p.States("a"); got[0].State != "connect" || got[0].ID != id || got[1].State != "disconnect" {
		t.Errorf("states %+v", got)
	}
}
