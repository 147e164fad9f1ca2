package adminui

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"greenroom/hub"
)

const everything = `["config",{"supportedFeatures":["EMIT","JOIN","LEAVE","DISCONNECT","MJOIN","MLEAVE","MDISCONNECT","AGGREGATED_EVENTS","ALL_EVENTS"]}]`

// described is a client of the tests as administrators see it.
const described = `{"id":"ID","clientId":"CLIENT","transport":"websocket","nsp":"/","data":%s,` +
	`"handshake":{"address":"127.0.0.1","headers":{"cookie":"[hidden]","host":"%s","user-agent":"test"},` +
	`"query":{"EIO":"4","transport":"websocket","x":"1"},"issued":0,"secure":false,"time":"TIME",` +
	`"url":"/socket.io/?EIO=4&transport=websocket&x=1","xdomain":false},"rooms":%s}`

func (f *fixture) described(data, rooms string) string {
	return fmt.Sprintf(described, data, strings.TrimPrefix(f.url, "http://"), rooms)
}

// What captures of the Node.js server show, in its order.
func TestDevelopment(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true})
	a := f.login(t, "")
	a.want(nil, everything, `["all_sockets",[]]`)
	a.settle()
	c := f.client(t)
	a.want(c,
		`["room_joined","/","ID","ID","DATE"]`,
		`["socket_connected",`+f.described(`{}`, `["ID"]`)+`,"DATE"]`)
	c.call(`["data",{"n":1}]`)
	a.want(c, `["event_received","/","ID",["data",{"n":1}],"DATE"]`,
		`["socket_updated",{"id":"ID","nsp":"/","transport":"websocket","data":{"n":1}}]`)
	c.emit(`["yo","there"]`)
	a.want(c, `["event_received","/","ID",["yo","there"],"DATE"]`, `["event_sent","/","ID",["yo",1],"DATE"]`)
	c.call(`["join","roomX"]`)
	a.want(c, `["event_received","/","ID",["join","roomX"],"DATE"]`, `["room_joined","/","roomX","ID","DATE"]`)

	a.emit(`["emit","/","roomX","news",{"a":12345678901234567890}]`)
	a.want(c, `["event_sent","/","ID",["news",{"a":12345678901234567890}],"DATE"]`)
	if got := c.event(); got != `["news",{"a":12345678901234567890}]` {
		t.Error(got)
	}
	a.emit(`["join","/","roomY","` + c.sid + `"]`)
	a.want(c, `["room_joined","/","roomY","ID","DATE"]`)
	b := f.login(t, "") // another one is told how things stand
	b.want(c, everything, `["all_sockets",[`+f.described(`{"n":1}`, `["ID","roomX","roomY"]`)+`]]`)
	b.settle()
	a.emit(`["leave","/","roomX","` + c.sid + `"]`)
	a.want(c, `["room_left","/","roomX","ID","DATE"]`)
	a.emit(`["_disconnect","/",false,"` + c.sid + `"]`)
	a.want(c, `["room_left","/","roomY","ID","DATE"]`,
		`["socket_disconnected","/","ID","server namespace disconnect","DATE"]`, `["room_left","/","ID","ID","DATE"]`)
	if got := c.next(); got != "41" {
		t.Errorf("the client got %s", got)
	}
	b.want(c, `["room_left","/","roomX","ID","DATE"]`) // and nothing of itself, or of the other one
}

// A command for a whole room, for everybody, for a list, and for whole connections.
func TestCommandsForMany(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true, Mode: Production})
	a := f.login(t, "")
	x, y := f.client(t), f.client(t)
	x.call(`["join","a"]`)
	a.emit(`["join","/","b",["` + x.sid + `","` + y.sid + `"]]`)
	eventually(t, "both in b", func() bool { return inRoom(f.hub, "b", x) && inRoom(f.hub, "b", y) })
	a.emit(`["leave","/","b","a"]`)
	eventually(t, "x out of b", func() bool { return !inRoom(f.hub, "b", x) })
	a.emit(`["emit","/",null,"all"]`)
	a.emit(`["emit","/","b","y"]`)
	for _, c := range []struct {
		*client
		want []string
	}{{x, []string{`["all"]`}}, {y, []string{`["all"]`, `["y"]`}}} {
		for _, want := range c.want {
			if got := c.event(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	a.emit(`["_disconnect","/",true,"` + x.sid + `"]`)
	if _, err := x.receive(); err == nil { // a DISCONNECT
		if m, err := x.receive(); err == nil {
			t.Errorf("the connection goes on with %s", m)
		}
	}
	a.emit(`["_disconnect","/",false]`)
	if got := y.next(); got != "41" {
		t.Errorf("y got %s", got)
	}
}

// inRoom asks whether a client is in a room.
func inRoom(h *hub.Hub, room string, c *client) bool {
	list, err := h.In(room).Sessions()
	return err == nil && slices.ContainsFunc(list, func(s hub.Snapshot) bool { return s.ID == c.sid })
}

// What makes no sense does nothing, to everybody least of all.
func TestSenselessCommands(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true, Mode: Production})
	a := f.login(t, "")
	a.event() // the configuration
	c := f.client(t)
	before := len(f.hub.Namespaces())
	commands := []string{
		`["emit"]`, `["emit","/",null]`, `["emit","/",null,7]`, `["emit","/",null,"disconnect"]`, `["emit","/none",null,"x"]`, `["emit","/",{},"x"]`,
		`["emit",null,null,"x"]`,
		`["join","/"]`, `["join","/",""]`, `["join","/","$presence:a"]`, `["join","/","a",7]`, `["join","/","a",[]]`, `["join","/","a",[1]]`, `["join","/","a",true]`,
		`["leave","/","a",{}]`, `["leave","/none","a"]`, `["leave",1,2,3]`,
		`["_disconnect"]`, `["_disconnect","/"]`, `["_disconnect","/","yes"]`, `["_disconnect","/",false,{}]`, `["_disconnect","/",false,[]]`, `["_disconnect","/",false,0]`,
		`["_disconnect","/none",false]`, `["shutdown"]`,
	}
	for _, command := range commands {
		a.emit(command)
	}
	f.counted(t, "adminui_command_refused", uint64(len(commands)))
	a.emit(`["emit","/",null,"end"]`)
	if got := c.event(); got != `["end"]` {
		t.Errorf("the client got %s", got)
	}
	if n := len(f.hub.Namespaces()); n != before {
		t.Errorf("%d namespaces, %d before", n, before)
	}
	if len(f.hub.Of("/").Rooms()) != 0 {
		t.Errorf("rooms %q", f.hub.Of("/").Rooms())
	}
}

func TestProductionShowsNoSessions(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true, Mode: Production})
	a := f.login(t, "")
	c := f.client(t)
	c.call(`["join","a"]`)
	c.close()
	eventually(t, "the client's end", func() bool { return f.hub.Of("/").SessionCount() == 0 })
	f.admin.tell("end")
	a.want(nil, strings.Replace(everything, `,"ALL_EVENTS"`, "", 1), `["end"]`)
}

func TestReadOnly(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true, ReadOnly: true})
	a := f.login(t, "")
	a.want(nil, `["config",{"supportedFeatures":["AGGREGATED_EVENTS","ALL_EVENTS"]}]`, `["all_sockets",[]]`)
	c := f.client(t)
	for _, command := range []string{`["emit","/",null,"x"]`, `["join","/","a"]`, `["leave","/","a"]`, `["_disconnect","/",true]`} {
		a.emit(command)
	}
	f.counted(t, "adminui_command_refused", 4)
	c.emit(`["yo"]`)
	if got := c.event(); got != `["yo",1]` {
		t.Errorf("the client got %s", got)
	}
}

// Binary values both ways: by their size in what is shown, as they are in commands.
func TestBinary(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true})
	c := f.client(t)
	a := f.login(t, "")
	a.settle()
	a.send(`451-/admin,["emit","/",null,"blob",1,{"_placeholder":true,"num":0}]`)
	if err := wsutil.WriteClientBinary(a.conn, []byte{7, 8}); err != nil {
		t.Fatal(err)
	}
	a.want(c, `["event_sent","/","ID",["blob",1,"[binary, 2 bytes]"],"DATE"]`)
	if got := c.next(); got != `451-["blob",1,{"_placeholder":true,"num":0}]` {
		t.Error(got)
	}
	if got := c.next(); got != "\x07\x08" {
		t.Errorf("%q", got)
	}
	c.emit(`["binary"]`)
	a.want(c, `["event_received","/","ID",["binary"],"DATE"]`, `["event_sent","/","ID",["blob","[binary, 3 bytes]",{"n":1}],"DATE"]`)
}

// An event too large to be shown is shown by its name; it reaches its client whole.
func TestLargeEvent(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true})
	c := f.client(t)
	a := f.login(t, "")
	a.settle()
	c.emit(`["big","` + strings.Repeat("x", maxArgs) + `"]`)
	a.want(c, fmt.Sprintf(`["event_received","/","ID",["big",{"[greenroom]":"%d bytes of arguments"}],"DATE"]`, maxArgs+10))
}

func TestEventRate(t *testing.T) {
	f := serve(t, hub.Options{Loops: 1}, Options{Open: true, EventRate: 1})
	c := f.client(t)
	a := f.login(t, "")
	a.settle()
	for range 20 { // of which so many seconds pass that few are shown
		c.emit(`["quiet"]`)
	}
	c.call(`["join","a"]`)
	shown := 0
	for {
		m := a.event()
		if strings.HasPrefix(m, `["room_joined"`) { // is told in any case
			break
		}
		shown++
	}
	dropped := f.hub.Counters()["adminui_event_dropped"]
	if dropped == 0 || shown == 0 || int(dropped)+shown != 21 {
		t.Errorf("%d shown and %d dropped of 21", shown, dropped)
	}
}

// An administrator who does not read costs nobody else anything, and bounded memory.
func TestSlowAdministrator(t *testing.T) {
	f := serve(t, hub.Options{OutboxBytes: 64 << 10, MaxRooms: 100_000}, Options{Open: true, EventRate: 1 << 20})
	f.login(t, "") // and never reads
	eventually(t, "the administrator", func() bool { return f.admin.here.Load() == 1 })
	c := f.client(t)
	text := strings.Repeat("x", 4000)
	for i := 0; f.hub.Counters()["volatile_dropped"] == 0; i++ {
		if i == 50_000 {
			t.Fatal("200 MB went somewhere")
		}
		c.call(`["noise","` + text + `"]`)
	}
	// Rooms are no events: at the bound the administrator is sent away.
	for i := 0; f.admin.here.Load() > 0; i++ {
		if i == 50_000 {
			t.Fatal("the administrator is not sent away")
		}
		c.call(fmt.Sprintf(`["join","%d%s"]`, i, text[:240]))
	}
	c.call(`["yo"]`)
}

// newcomers may not be told of everybody, but never so much that they are cut off.
func TestTooManySessions(t *testing.T) {
	f := serve(t, hub.Options{Loops: 1, OutboxBytes: 8 << 10}, Options{Open: true})
	for range 12 {
		f.client(t)
	}
	a := f.login(t, "")
	a.event()
	var all []json.RawMessage
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(a.event()), &args); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(args[1], &all); err != nil {
		t.Fatal(err)
	}
	if n := len(all); n == 0 || n == 12 || len(args[1]) > 4<<10 {
		t.Errorf("%d sessions in %d bytes", n, len(args[1]))
	}
	f.counted(t, "adminui_sessions_omitted", 1)
}

// Two nodes: one has the administrator, the other the client.
func TestCluster(t *testing.T) {
	var cluster hub.Cluster
	one := serve(t, hub.Options{Adapter: cluster.Adapter(), Node: "one"}, Options{Open: true, Interval: 100 * time.Millisecond, ServerID: "one"})
	two := serve(t, hub.Options{Adapter: cluster.Adapter(), Node: "two"}, Options{Open: true, Interval: 100 * time.Millisecond, ServerID: "two"})
	c := two.client(t)
	a := one.login(t, "")
	until := func(want string) {
		t.Helper()
		for want = strings.ReplaceAll(want, "ID", c.sid); ; {
			if got := a.event(); strings.HasPrefix(got, want) {
				return
			}
		}
	}
	until(`["all_sockets",[{"id":"ID"`)
	until(`["server_stats",{"serverId":"two"`)
	until(`["server_stats",{"serverId":"one"`)
	a.emit(`["join","/","a","` + c.sid + `"]`)
	until(`["room_joined","/","a","ID"`)
	a.emit(`["emit","/","a","news"]`)
	until(`["event_sent","/","ID",["news"]`)
	if got := c.event(); got != `["news"]` {
		t.Errorf("the client got %s", got)
	}
	a.emit(`["_disconnect","/",false,"a"]`)
	until(`["socket_disconnected","/","ID","server namespace disconnect"`)
}

func TestClose(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true})
	a := f.login(t, "")
	a.settle()
	f.admin.Close()
	if got := a.next(); got != "41/admin," {
		t.Errorf("got %s", got)
	}
	f.client(t).call(`["join","a"]`)
	b := f.dial(t, "/admin")
	if no := b.join(""); no != "" {
		t.Error(no)
	}
	if got := b.next(); got != "41/admin," {
		t.Errorf("got %s", got)
	}
}

func TestOptions(t *testing.T) {
	h := newHub(t, hub.Options{})
	hash := hashOf(t, "x")
	for name, o := range map[string]Options{
		"nothing":             {},
		"no hash":             {Username: "admin"},
		"no name":             {Hash: hash},
		"a password":          {Username: "admin", Hash: "secret"},
		"open with a name":    {Open: true, Username: "admin"},
		"another mode":        {Open: true, Mode: "test"},
		"a bad namespace":     {Open: true, Namespace: "admin"},
		"work without an end": {Username: "admin", Hash: "$2a$31$" + hash[7:]},
	} {
		if _, err := New(h, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := h.Handle("/admin", app); err != nil {
		t.Fatal(err)
	}
	if _, err := New(h, Options{Open: true}); !errors.Is(err, hub.ErrHandled) {
		t.Errorf("a namespace in use: %v", err)
	}
	a, err := New(h, Options{Open: true, Namespace: "/other"})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	a.Close()
}

// With recovery every event has its offset behind it, which the pages overlook.
func TestWithRecovery(t *testing.T) {
	f := serve(t, hub.Options{Recovery: &hub.Recovery{}}, Options{Open: true})
	a := f.login(t, "")
	until := func(want string) {
		t.Helper()
		for !strings.HasPrefix(a.next(), "42/admin,"+want) {
		}
	}
	until(`["config"`)
	until(`["all_sockets"`)
	c := f.client(t)
	until(`["socket_connected",{"id":"` + c.sid)
	c.call(`["join","a"]`)
	until(`["room_joined","/","a","` + c.sid)
	a.emit(`["emit","/","a","news"]`)
	until(`["event_sent","/","` + c.sid + `",["news"`)
	a.emit(`["leave","/","a"]`)
	until(`["room_left","/","a","` + c.sid)
	c.close() // it may come back, but is not there
	until(`["socket_disconnected","/","` + c.sid)
	b := f.login(t, "")
	b.event()
	if got := b.event(); !strings.HasPrefix(got, `["all_sockets",[]`) {
		t.Error(got)
	}
}

// Namespaces that clients have made themselves are shown and commanded like others.
func TestFamily(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true})
	if _, err := f.hub.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), app); err != nil {
		t.Fatal(err)
	}
	a := f.login(t, "")
	a.want(nil, everything, `["all_sockets",[]]`)
	a.settle()
	c := f.dial(t, "/game-7")
	if no := c.join(""); no != "" {
		t.Fatal(no)
	}
	a.want(c, `["room_joined","/game-7","ID","ID","DATE"]`)
	a.event()
	a.emit(`["_disconnect","/game-7",false]`)
	a.want(c, `["socket_disconnected","/game-7","ID","server namespace disconnect","DATE"]`)
	if got := c.next(); got != "41/game-7," {
		t.Error(got)
	}
}
