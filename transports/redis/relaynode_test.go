//go:build unix

package redis

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// Official clients at two nodes: what one publishes the others get, with the same id and in everybody's history; who is
// there is known at both.
func TestRelayOverRedisWithOfficialClients(t *testing.T) {
	r := testenv.StartRedis(t)
	peer := testenv.NewPeer(t)
	for _, name := range []string{"ann", "bo"} {
		node := newGoNodeWith(t, Options{URL: r.URL()}, hub.Options{Node: name}, "/")
		if err := node.hub.Handle("/relay", hub.Relay(hub.RelayOptions{})); err != nil {
			t.Fatal(err)
		}
		node.waitReady(t)
		peer.Client(testenv.PeerClient{Name: name, URL: node.url, Space: "/relay", Options: map[string]any{"auth": map[string]any{"name": name}}})
	}
	run := func(code string, args ...any) (answer map[string]any) {
		t.Helper()
		if err := json.Unmarshal([]byte(peer.Run(code, args...)), &answer); err != nil || answer["ok"] != true {
			t.Fatalf("%s: %v, %v", code, answer, err)
		}
		return answer
	}
	ids := func(list any) (out []string) {
		for _, m := range list.([]any) {
			out = append(out, m.(map[string]any)["id"].(string))
		}
		return out
	}
	run(`clients.bo.emitWithAck("join", "lobby", {presence: true})`)
	run(`clients.ann.emitWithAck("join", "lobby", {presence: true})`)
	peer.Wait("bo hears of ann", func() bool { return strings.Contains(strings.Join(peer.Heard("bo"), ""), `"name":"ann"`) })
	peer.Wait("ann hears of ann", func() bool { return strings.Contains(strings.Join(peer.Heard("ann"), ""), `"name":"ann"`) })
	a := run(`clients.bo.emitWithAck("presence", "lobby")`)
	if n := a["count"]; n != 2.0 || len(ids(a["members"])) != 2 {
		t.Errorf("present %v", a)
	}
	peer.Forget()
	var sent []string
	for range 3 {
		sent = append(sent, run(`clients.ann.emitWithAck("publish", "lobby", "say", {text: "hello"}, {id: String(Math.random())})`)["id"].(string))
		sent = append(sent, run(`clients.bo.emitWithAck("publish", "lobby", "say", Buffer.from([1, 2]))`)["id"].(string))
	}
	for i, name := range []string{"bo", "ann"} {
		heard := peer.WaitHeard(name, 3)
		for k, line := range heard {
			if !strings.Contains(line, `"id":"`+sent[2*k+i]+`"`) {
				t.Errorf("%s heard %s, want %s", name, line, sent[2*k+i])
			}
		}
	}
	for _, name := range []string{"ann", "bo"} {
		a := run(`clients[args[0]].emitWithAck("history", "lobby")`, name)
		if got := ids(a["messages"]); !slices.Equal(got, sent) || a["complete"] != true {
			t.Errorf("%s: history %q, sent %q", name, got, sent)
		}
		a = run(`clients[args[0]].emitWithAck("history", "lobby", {after: args[1], limit: 2})`, name, sent[1])
		if got := ids(a["messages"]); !slices.Equal(got, sent[2:4]) || a["complete"] != true {
			t.Errorf("%s: after the second %q", name, got)
		}
	}
	peer.Run(`clients.ann.disconnect()`)
	peer.Wait("bo hears that ann is gone", func() bool { return strings.Contains(strings.Join(peer.Heard("bo"), ""), `"left":[{"id":`) })
}
