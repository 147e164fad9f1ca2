package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/loadtests/load"
)

// greenroom is the peer that the others are compared with.
const greenroom = "greenroom"

// A peer is one of the servers below loadtests/peers.
type peer struct {
	name     string
	title    string // with its version
	protocol string
	polling  bool // can be asked for over long polling
	deflate  bool // has permessage-deflate: its program knows the word "deflate"
	idle     bool // has settings for many idle sessions: its program knows the word "idle"
	floor    bool // not a server but a measuring stick

	module  string   // a nested module to build, or empty
	pkg     string   // a package of the main module to build, or empty
	command []string // of what is not built
	needs   []string // modules that its interpreter must have

	settings string // what was set, for the document
	more     string // what it does that Greenroom does not
}

// peers in the order of the tables.
var peers = []peer{
	{
		name: greenroom, title: "Greenroom", protocol: load.EIO4, polling: true, deflate: true,
		pkg:      "./loadtests/peers/greenroom",
		settings: "No limit on the events of a client, which the others have not either; everything else as by default.",
	},
	{
		name: "centrifuge", title: "Centrifuge 0.40.0", protocol: load.Centrifuge, deflate: true, idle: true,
		module: "loadtests/peers/centrifuge",
		settings: "JSON protocol. A pool of write buffers, as its documentation recommends for many connections; for the idle row also " +
			"`ReadBufferSize` 512 and `ProcessCommandsOffReadLoop`, its documented ways to less memory; for the deflate row its cache of " +
			"prepared messages, which is experimental. `WriteDelay`, which trades latency for fewer writes, stays off as by default.",
		more: "Many nodes over Redis, with sharding and Redis Cluster; presence and history in Redis, so that they outlive a server; delta compression of " +
			"publications, and filters by tags; a binary Protobuf protocol (the figures are of JSON); SSE and HTTP streaming that need no sticky " +
			"sessions, and unidirectional transports; SDKs of its own for browsers, Go, Dart, Swift, Java and Python; and Centrifugo, the " +
			"server around it, with years of production behind it.",
	},
	{
		name: "nodejs", title: "Socket.IO 4.8.4 (Node.js)", protocol: load.EIO4, polling: true, deflate: true,
		command: []string{"node", "loadtests/peers/nodejs/server.js", "{port}"},
		settings: "As in Socket.IO's \"Performance tuning\" and \"Memory usage\": `ws` with `bufferutil`, and the first HTTP request of a session is " +
			"dropped. (`eiows` and µWebSockets.js, which these pages mention too, are other servers under the same API.)",
		more: "The reference implementation: whatever is new in the protocol is there first; adapters for Redis, Postgres, MongoDB and cloud " +
			"queues; WebTransport; the whole of npm in the handlers; by far the most users.",
	},
	{
		name: "zishang520", title: "zishang520/socket.io 3.0.6", protocol: load.EIO4, polling: true, deflate: true,
		module:   "loadtests/peers/zishang520",
		settings: "As by default, without compression of HTTP.",
		more: "A port of the Node.js server, name by name, for programs that are to be translated rather than written; adapters for Redis, Valkey, " +
			"Postgres, MongoDB and Unix sockets; WebTransport; clients in Go; fasthttp and fiber.",
	},
	{
		name: "googollee", title: "googollee/go-socket.io 1.7.0", protocol: load.EIO3, polling: true,
		module:   "loadtests/peers/googollee",
		settings: "As by default, with a heartbeat of 25 s like the others. Engine.IO 3, which clients of Socket.IO 1 and 2 speak.",
		more:     "A Redis adapter. (Its last release is of February 2023, and its clients are those of Socket.IO 1 and 2.)",
	},
	{
		name: "gevent", title: "python-socketio (gevent)", protocol: load.EIO4, polling: true,
		command: []string{"/usr/bin/python3", "loadtests/peers/gevent/server.py", "{port}"},
		needs:   []string{"socketio", "gevent", "geventwebsocket"},
		settings: "pywsgi with gevent-websocket and monkey patching, as in its \"Deployment\" page, of Debian's packages; `async_handlers=False`, so " +
			"that an event costs no greenlet and keeps its order; no compression of HTTP.",
		more: "Handlers in Python, beside Flask, Django and all of PyPI; the same API on asyncio, eventlet and threads; adapters for Redis, Kafka, " +
			"RabbitMQ.",
	},
	{
		name: "rawwrite", title: "plain `write`", protocol: load.EIO4, floor: true,
		pkg:      "./loadtests/peers/rawwrite",
		settings: "Not a server: one thread that reads the publisher through epoll and does one `write` of a ready-made frame per member.",
		more:     "Nothing. It shows what the kernel alone takes when every message is a `write` of its own.",
	},
}

func peerNamed(name string) (peer, bool) {
	i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
	if i < 0 {
		return peer{}, false
	}
	return peers[i], true
}

// chosenPeers are those that a comma-separated list names, in the order of the tables; all for an empty one.
func chosenPeers(list string) (picked []peer, unknown string) {
	if list == "" {
		return peers, ""
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if _, ok := peerNamed(name); !ok {
			return nil, name
		}
	}
	for _, p := range peers {
		if slices.Contains(names, p.name) {
			picked = append(picked, p)
		}
	}
	return picked, ""
}

// binary is where the program of a peer that is built lies.
func (p peer) binary() string { return filepath.Join("bin", "peer-"+p.name) }

// build makes the peer's program, or says which package is missing. It is quick when nothing has changed. dir is the
// project's.
func (p peer) build(dir string) error {
	switch {
	case p.module != "":
		out, err := filepath.Abs(filepath.Join(dir, p.binary()))
		if err != nil {
			return err
		}
		return goBuild(filepath.Join(dir, p.module), out, ".")
	case p.pkg != "":
		return goBuild(dir, p.binary(), p.pkg)
	}
	if _, err := exec.LookPath(p.command[0]); err != nil {
		return fmt.Errorf("%s is not installed", p.command[0])
	}
	if p.name == "nodejs" {
		if _, err := os.Stat(filepath.Join(dir, "loadtests/peers/nodejs/node_modules/socket.io")); errors.Is(err, fs.ErrNotExist) {
			return errors.New("its packages are missing: npm ci --prefix loadtests/peers/nodejs")
		}
		return nil
	}
	program := "import " + strings.Join(p.needs, ", ")
	if out, err := exec.Command(p.command[0], "-c", program).CombinedOutput(); err != nil {
		return fmt.Errorf("packages are missing (apt-get install python3-socketio python3-gevent python3-gevent-websocket): %s",
			lastLine(string(out)))
	}
	return nil
}

func goBuild(dir, out, pkg string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// server is the peer as the generator starts it for a row.
func (p peer) server(dir string, r row) load.Peer {
	command := slices.Clone(p.command)
	if len(command) == 0 {
		command = []string{"./" + p.binary(), "{port}"}
	}
	switch {
	case r.plan.Deflate:
		command = append(command, "deflate")
	case r.plan.Mode == load.Idle && p.idle:
		command = append(command, "idle")
	}
	return load.Peer{Name: p.name, Protocol: p.protocol, Command: command, Dir: dir}
}
