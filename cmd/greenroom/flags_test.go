package main

import (
	"context"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"greenroom/transports/zeromq"
)

// parse is what the program understands of a command line.
func parse(t *testing.T, args ...string) (c cli) {
	t.Helper()
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return c
}

// TestFlagsAndEnvironment: every flag, its environment variable, and its default.
func TestFlagsAndEnvironment(t *testing.T) {
	// One parser for all, which begins every time with the defaults: making it takes longer than what it is asked.
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(t *testing.T, args ...string) cli {
		t.Helper()
		if _, err := parser.Parse(args); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return c
	}
	for _, f := range []struct {
		command, flag, env string
		standard, value    any
		text               string // value as it is given
		field              func(*cli) any
	}{
		{"serve", "--listen", "GREENROOM_LISTEN", "127.0.0.1:3000", "127.0.0.1:1", "127.0.0.1:1", func(c *cli) any { return c.Serve.Listen }},
		{"serve", "--zmq-pull", "GREENROOM_ZMQ_PULL", "tcp://127.0.0.1:5560", "off", "off", func(c *cli) any { return c.Serve.ZmqPull }},
		{"serve", "--zmq-pub", "GREENROOM_ZMQ_PUB", "tcp://127.0.0.1:5561", "ipc:///tmp/x", "ipc:///tmp/x", func(c *cli) any { return c.Serve.ZmqPub }},
		{"serve", "--zmq-sub", "GREENROOM_ZMQ_SUB", "tcp://127.0.0.1:5562", "tcp://127.0.0.1:9", "tcp://127.0.0.1:9", func(c *cli) any { return c.Serve.ZmqSub }},
		{"serve", "--zmq-connect", "GREENROOM_ZMQ_CONNECT", []string(nil), []string{"tcp://a:1", "ipc:///b"}, "tcp://a:1,ipc:///b", func(c *cli) any { return c.Serve.Feeds.Connect }},
		{"serve", "--zmq-server-key", "GREENROOM_ZMQ_SERVER_KEY", map[string]string(nil), map[string]string{"tcp://a:1": "x.key"}, "tcp://a:1=x.key", func(c *cli) any { return c.Serve.Zmq.ServerKey }},
		{"serve", "--zmq-server-user", "GREENROOM_ZMQ_SERVER_USER", map[string]string(nil), map[string]string{"tcp://a:1": "x"}, "tcp://a:1=x", func(c *cli) any { return c.Serve.Zmq.ServerUser }},
		{"serve", "--zmq-sub-topic", "GREENROOM_ZMQ_SUB_TOPIC", []string(nil), []string{"a", "b"}, "a,b", func(c *cli) any { return c.Serve.Feeds.SubTopic }},
		{"serve", "--zmq-subscribe", "GREENROOM_ZMQ_SUBSCRIBE", "all", "demand", "demand", func(c *cli) any { return c.Serve.Feeds.Subscribe }},
		{"serve", "--zmq-linger", "GREENROOM_ZMQ_LINGER", time.Minute, time.Second, "1s", func(c *cli) any { return c.Serve.Feeds.Linger }},
		{"serve", "--zmq-pull-layout", "GREENROOM_ZMQ_PULL_LAYOUT", "greenroom", "raw", "raw", func(c *cli) any { return c.Serve.Feeds.Pull.Layout }},
		{"serve", "--zmq-pull-payload", "GREENROOM_ZMQ_PULL_PAYLOAD", "auto", "text", "text", func(c *cli) any { return c.Serve.Feeds.Pull.Payload }},
		{"serve", "--zmq-pull-event", "GREENROOM_ZMQ_PULL_EVENT", "message", "e", "e", func(c *cli) any { return c.Serve.Feeds.Pull.Event }},
		{"serve", "--zmq-pull-namespace", "GREENROOM_ZMQ_PULL_NAMESPACE", "/", "/n", "/n", func(c *cli) any { return c.Serve.Feeds.Pull.Namespace }},
		{"serve", "--zmq-pull-topic-namespace", "GREENROOM_ZMQ_PULL_TOPIC_NAMESPACE", false, true, "true", func(c *cli) any { return c.Serve.Feeds.Pull.TopicNamespace }},
		{"serve", "--zmq-pull-room", "GREENROOM_ZMQ_PULL_ROOM", "", "r", "r", func(c *cli) any { return c.Serve.Feeds.Pull.Room }},
		{"serve", "--zmq-pull-retain", "GREENROOM_ZMQ_PULL_RETAIN", false, true, "true", func(c *cli) any { return c.Serve.Feeds.Pull.Retain }},
		{"serve", "--zmq-pull-fanout", "GREENROOM_ZMQ_PULL_FANOUT", "auto", "local", "local", func(c *cli) any { return c.Serve.Feeds.Pull.Fanout }},
		{"serve", "--zmq-sub-layout", "GREENROOM_ZMQ_SUB_LAYOUT", "greenroom", "raw", "raw", func(c *cli) any { return c.Serve.Feeds.Sub.Layout }},
		{"serve", "--zmq-sub-payload", "GREENROOM_ZMQ_SUB_PAYLOAD", "auto", "text", "text", func(c *cli) any { return c.Serve.Feeds.Sub.Payload }},
		{"serve", "--zmq-sub-event", "GREENROOM_ZMQ_SUB_EVENT", "message", "e", "e", func(c *cli) any { return c.Serve.Feeds.Sub.Event }},
		{"serve", "--zmq-sub-namespace", "GREENROOM_ZMQ_SUB_NAMESPACE", "/", "/n", "/n", func(c *cli) any { return c.Serve.Feeds.Sub.Namespace }},
		{"serve", "--zmq-sub-topic-namespace", "GREENROOM_ZMQ_SUB_TOPIC_NAMESPACE", false, true, "true", func(c *cli) any { return c.Serve.Feeds.Sub.TopicNamespace }},
		{"serve", "--zmq-sub-room", "GREENROOM_ZMQ_SUB_ROOM", "", "r", "r", func(c *cli) any { return c.Serve.Feeds.Sub.Room }},
		{"serve", "--zmq-sub-retain", "GREENROOM_ZMQ_SUB_RETAIN", false, true, "true", func(c *cli) any { return c.Serve.Feeds.Sub.Retain }},
		{"serve", "--zmq-sub-fanout", "GREENROOM_ZMQ_SUB_FANOUT", "auto", "local", "local", func(c *cli) any { return c.Serve.Feeds.Sub.Fanout }},
		{"serve", "--zmq-control", "GREENROOM_ZMQ_CONTROL", "tcp://127.0.0.1:5563", "off", "off", func(c *cli) any { return c.Serve.Requests.ZmqControl }},
		{"serve", "--zmq-workers", "GREENROOM_ZMQ_WORKERS", "tcp://127.0.0.1:5564", "off", "off", func(c *cli) any { return c.Serve.Requests.ZmqWorkers }},
		{"serve", "--workers", "GREENROOM_WORKERS", []string(nil), []string{"/", "/chat"}, "/,/chat", func(c *cli) any { return c.Serve.Requests.Workers }},
		{"serve", "--workers-auth", "GREENROOM_WORKERS_AUTH", false, true, "true", func(c *cli) any { return c.Serve.Requests.WorkersAuth }},
		{"serve", "--worker-wait", "GREENROOM_WORKER_WAIT", time.Second, time.Minute, "1m", func(c *cli) any { return c.Serve.Requests.WorkerWait }},
		{"serve", "--worker-timeout", "GREENROOM_WORKER_TIMEOUT", 30 * time.Second, time.Minute, "1m", func(c *cli) any { return c.Serve.Requests.WorkerTimeout }},
		{"serve", "--max-worker-queue", "GREENROOM_MAX_WORKER_QUEUE", 10000, 5, "5", func(c *cli) any { return c.Serve.Requests.MaxWorkerQueue }},
		{"serve", "--control-rate", "GREENROOM_CONTROL_RATE", 20000, 5, "5", func(c *cli) any { return c.Serve.Requests.ControlRate }},
		{"serve", "--redis", "GREENROOM_REDIS", "", "redis://h", "redis://h", func(c *cli) any { return c.Serve.Redis.URL }},
		{"serve", "--redis-adapter", "GREENROOM_REDIS_ADAPTER", "classic", "streams", "streams", func(c *cli) any { return c.Serve.Redis.Kind }},
		{"serve", "--redis-mode", "GREENROOM_REDIS_MODE", "dynamic", "static", "static", func(c *cli) any { return c.Serve.Redis.Mode }},
		{"serve", "--redis-prefix", "GREENROOM_REDIS_PREFIX", "socket.io", "p", "p", func(c *cli) any { return c.Serve.Redis.Prefix }},
		{"serve", "--redis-sharded-pubsub", "GREENROOM_REDIS_SHARDED_PUBSUB", false, true, "true", func(c *cli) any { return c.Serve.Redis.ShardedPubSub }},
		{"serve", "--redis-user", "GREENROOM_REDIS_USER", "", "u", "u", func(c *cli) any { return c.Serve.Redis.User }},
		{"serve", "--redis-password-file", "GREENROOM_REDIS_PASSWORD_FILE", "", "f", "f", func(c *cli) any { return c.Serve.Redis.PasswordFile }},
		{"serve", "--redis-sentinel-user", "GREENROOM_REDIS_SENTINEL_USER", "", "u", "u", func(c *cli) any { return c.Serve.Redis.SentinelUser }},
		{"serve", "--redis-sentinel-password-file", "GREENROOM_REDIS_SENTINEL_PASSWORD_FILE", "", "f", "f", func(c *cli) any { return c.Serve.Redis.SentinelPasswordFile }},
		{"serve", "--redis-personal-answers", "GREENROOM_REDIS_PERSONAL_ANSWERS", false, true, "true", func(c *cli) any { return c.Serve.Redis.PersonalAnswers }},
		{"serve", "--redis-stream-name", "GREENROOM_REDIS_STREAM_NAME", "", "s", "s", func(c *cli) any { return c.Serve.Redis.StreamName }},
		{"serve", "--redis-session-prefix", "GREENROOM_REDIS_SESSION_PREFIX", "sio:session:", "k:", "k:", func(c *cli) any { return c.Serve.Redis.SessionPrefix }},
		{"serve", "--redis-stream-max-len", "GREENROOM_REDIS_STREAM_MAX_LEN", 10000, 5, "5", func(c *cli) any { return c.Serve.Redis.StreamMaxLen }},
		{"serve", "--redis-stream-read-count", "GREENROOM_REDIS_STREAM_READ_COUNT", 100, 5, "5", func(c *cli) any { return c.Serve.Redis.StreamReadCount }},
		{"serve", "--redis-stream-block", "GREENROOM_REDIS_STREAM_BLOCK", 5 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Redis.StreamBlock }},
		{"serve", "--redis-tls-ca", "GREENROOM_REDIS_TLS_CA", "", "f", "f", func(c *cli) any { return c.Serve.Redis.TLSCA }},
		{"serve", "--redis-tls-cert", "GREENROOM_REDIS_TLS_CERT", "", "f", "f", func(c *cli) any { return c.Serve.Redis.TLSCert }},
		{"serve", "--redis-tls-key", "GREENROOM_REDIS_TLS_KEY", "", "f", "f", func(c *cli) any { return c.Serve.Redis.TLSKey }},
		{"serve", "--node", "GREENROOM_NODE", "", "n", "n", func(c *cli) any { return c.Serve.Redis.Node }},
		{"serve", "--loops", "GREENROOM_LOOPS", 0, 3, "3", func(c *cli) any { return c.Serve.Loops }},
		{"serve", "--tls-cert", "GREENROOM_TLS_CERT", "", "cert.pem", "cert.pem", func(c *cli) any { return c.Serve.TLSCert }},
		{"serve", "--tls-key", "GREENROOM_TLS_KEY", "", "key.pem", "key.pem", func(c *cli) any { return c.Serve.TLSKey }},
		{"serve", "--insecure", "GREENROOM_INSECURE", false, true, "true", func(c *cli) any { return c.Serve.Insecure }},
		{"serve", "--cors-origin", "GREENROOM_CORS_ORIGIN", []string(nil), []string{"https://a.example", "https://b.example"}, "https://a.example,https://b.example",
			func(c *cli) any { return c.Serve.CorsOrigin }},
		{"serve", "--host", "GREENROOM_HOST", []string(nil), []string{"rooms.example", "10.1.2.3"}, "rooms.example,10.1.2.3", func(c *cli) any { return c.Serve.Host }},
		{"serve", "--admin-ui", "GREENROOM_ADMIN_UI", false, true, "true", func(c *cli) any { return c.Serve.Admin.On }},
		{"serve", "--admin-user", "GREENROOM_ADMIN_USER", "", "ann", "ann", func(c *cli) any { return c.Serve.Admin.User }},
		{"serve", "--admin-hash", "GREENROOM_ADMIN_HASH", "", adminHash, adminHash, func(c *cli) any { return c.Serve.Admin.Hash }},
		{"serve", "--admin-mode", "GREENROOM_ADMIN_MODE", "development", "production", "production", func(c *cli) any { return c.Serve.Admin.Mode }},
		{"serve", "--admin-readonly", "GREENROOM_ADMIN_READONLY", false, true, "true", func(c *cli) any { return c.Serve.Admin.ReadOnly }},
		{"serve", "--allow-eio3", "GREENROOM_ALLOW_EIO3", false, true, "true", func(c *cli) any { return c.Serve.Clients.AllowEIO3 }},
		{"serve", "--compress", "GREENROOM_COMPRESS", false, true, "true", func(c *cli) any { return c.Serve.Clients.Compress }},
		{"serve", "--compress-from", "GREENROOM_COMPRESS_FROM", 1024, 100, "100", func(c *cli) any { return c.Serve.Clients.CompressFrom }},
		{"serve", "--recovery", "GREENROOM_RECOVERY", time.Duration(0), 2 * time.Minute, "2m", func(c *cli) any { return c.Serve.Clients.Recovery }},
		{"serve", "--cors-credentials", "GREENROOM_CORS_CREDENTIALS", false, true, "true", func(c *cli) any { return c.Serve.Clients.CorsCredentials }},
		{"serve", "--cookie", "GREENROOM_COOKIE", "", "io", "io", func(c *cli) any { return c.Serve.Clients.Cookie }},
		{"serve", "--trusted-proxy", "GREENROOM_TRUSTED_PROXY", []netip.Prefix(nil), []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
			"10.0.0.0/8,fd00::/8", func(c *cli) any { return c.Serve.Clients.TrustedProxy }},
		{"serve", "--ping-interval", "GREENROOM_PING_INTERVAL", 25 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Clients.PingInterval }},
		{"serve", "--ping-timeout", "GREENROOM_PING_TIMEOUT", 20 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Clients.PingTimeout }},
		{"serve", "--connect-timeout", "GREENROOM_CONNECT_TIMEOUT", 45 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Clients.ConnectTimeout }},
		{"serve", "--header-timeout", "GREENROOM_HEADER_TIMEOUT", 10 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Clients.HeaderTimeout }},
		{"serve", "--body-timeout", "GREENROOM_BODY_TIMEOUT", 20 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Clients.BodyTimeout }},
		{"serve", "--max-header", "GREENROOM_MAX_HEADER", 16384, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxHeader }},
		{"serve", "--max-message", "GREENROOM_MAX_MESSAGE", 1_000_000, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxMessage }},
		{"serve", "--max-attachments", "GREENROOM_MAX_ATTACHMENTS", 10, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxAttachments }},
		{"serve", "--max-depth", "GREENROOM_MAX_DEPTH", 128, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxDepth }},
		{"serve", "--max-namespaces", "GREENROOM_MAX_NAMESPACES", 32, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxNamespaces }},
		{"serve", "--max-rooms", "GREENROOM_MAX_ROOMS", 128, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxRooms }},
		{"serve", "--prefix-rooms", "GREENROOM_PREFIX_ROOMS", false, true, "true", func(c *cli) any { return c.Serve.Clients.PrefixRooms }},
		{"serve", "--zmq-pub-style", "GREENROOM_ZMQ_PUB_STYLE", "full", "plain", "plain", func(c *cli) any { return c.Serve.Subscribers.ZmqPubStyle }},
		{"serve", "--zmq-pub-slow", "GREENROOM_ZMQ_PUB_SLOW", "disconnect", "drop", "drop", func(c *cli) any { return c.Serve.Subscribers.ZmqPubSlow }},
		{"serve", "--zmq-pub-lag", "GREENROOM_ZMQ_PUB_LAG", 10 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Subscribers.ZmqPubLag }},
		{"serve", "--zmq-pub-welcome", "GREENROOM_ZMQ_PUB_WELCOME", []string(nil), []string{"hello", "you"}, "hello,you", func(c *cli) any { return c.Serve.Subscribers.ZmqPubWelcome }},
		{"serve", "--zmq-pub-heartbeat", "GREENROOM_ZMQ_PUB_HEARTBEAT", 5 * time.Second, time.Second, "1s", func(c *cli) any { return c.Serve.Subscribers.ZmqPubHeartbeat }},
		{"serve", "--max-sessions", "GREENROOM_MAX_SESSIONS", 250_000, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxSessions }},
		{"serve", "--max-pending", "GREENROOM_MAX_PENDING", 10_000, 7, "7", func(c *cli) any { return c.Serve.Clients.MaxPending }},
		{"serve", "--handshake-rate", "GREENROOM_HANDSHAKE_RATE", 10_000, -1, "-1", func(c *cli) any { return c.Serve.Clients.HandshakeRate }},
		{"serve", "--address-handshake-rate", "GREENROOM_ADDRESS_HANDSHAKE_RATE", 0, 7, "7", func(c *cli) any { return c.Serve.Clients.AddressHandshakeRate }},
		{"serve", "--event-rate", "GREENROOM_EVENT_RATE", 10_000, -1, "-1", func(c *cli) any { return c.Serve.Clients.EventRate }},
		{"serve", "--event-burst", "GREENROOM_EVENT_BURST", 20_000, 7, "7", func(c *cli) any { return c.Serve.Clients.EventBurst }},
		{"serve", "--outbox-bytes", "GREENROOM_OUTBOX_BYTES", 1 << 20, 7, "7", func(c *cli) any { return c.Serve.Clients.OutboxBytes }},
		{"serve", "--log-level", "GREENROOM_LOG_LEVEL", "info", "debug", "debug", func(c *cli) any { return c.Serve.LogLevel }},
		{"serve", "--log-json", "GREENROOM_LOG_JSON", false, true, "true", func(c *cli) any { return c.Serve.LogJSON }},
		{"publish room text", "--to", "GREENROOM_TO", "tcp://127.0.0.1:5560", "http://127.0.0.1:1", "http://127.0.0.1:1", func(c *cli) any { return c.Publish.To }},
		{"publish room text", "--name", "GREENROOM_NAME", "", "Ann", "Ann", func(c *cli) any { return c.Publish.Name }},
		{"publish room text", "--timeout", "GREENROOM_TIMEOUT", 5 * time.Second, time.Minute, "1m", func(c *cli) any { return c.Publish.Timeout }},
		{"listen room", "--from", "GREENROOM_FROM", "tcp://127.0.0.1:5561", "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", func(c *cli) any { return c.Listen.From }},
		{"listen room", "--name", "GREENROOM_NAME", "", "Ann", "Ann", func(c *cli) any { return c.Listen.Name }},
		{"listen room", "--json", "GREENROOM_JSON", false, true, "true", func(c *cli) any { return c.Listen.JSON }},
		{"loadtest", "--mode", "GREENROOM_MODE", "fanout", "echo", "echo", func(c *cli) any { return c.Loadtest.Mode }},
		{"loadtest", "--transport", "GREENROOM_TRANSPORT", "websocket", "polling", "polling", func(c *cli) any { return c.Loadtest.Transport }},
		{"loadtest", "--deflate", "GREENROOM_DEFLATE", false, true, "true", func(c *cli) any { return c.Loadtest.Deflate }},
		{"loadtest", "--clients", "GREENROOM_CLIENTS", 100, 7, "7", func(c *cli) any { return c.Loadtest.Clients }},
		{"loadtest", "--rooms", "GREENROOM_ROOMS", 1, 7, "7", func(c *cli) any { return c.Loadtest.Rooms }},
		{"loadtest", "--window", "GREENROOM_WINDOW", 1, 7, "7", func(c *cli) any { return c.Loadtest.Window }},
		{"loadtest", "--rate", "GREENROOM_RATE", 0.0, 7.5, "7.5", func(c *cli) any { return c.Loadtest.Rate }},
		{"loadtest", "--size", "GREENROOM_SIZE", 64, 70, "70", func(c *cli) any { return c.Loadtest.Size }},
		{"loadtest", "--duration", "GREENROOM_DURATION", 5 * time.Second, time.Minute, "1m", func(c *cli) any { return c.Loadtest.Duration }},
		{"loadtest", "--warm-up", "GREENROOM_WARM_UP", time.Second, time.Minute, "1m", func(c *cli) any { return c.Loadtest.WarmUp }},
		{"loadtest", "--gather", "GREENROOM_GATHER", 50 * time.Microsecond, time.Millisecond, "1ms", func(c *cli) any { return c.Loadtest.Gather }},
		{"loadtest", "--dialing", "GREENROOM_DIALING", 32, 7, "7", func(c *cli) any { return c.Loadtest.Dialing }},
		{"loadtest", "--cmd", "GREENROOM_CMD", []string(nil), []string{"a=b, c {port}"}, "a=b, c {port}", func(c *cli) any { return c.Loadtest.Cmd }},
		{"loadtest", "--protocol", "GREENROOM_PROTOCOL", "eio4", "eio3", "eio3", func(c *cli) any { return c.Loadtest.Protocol }},
		{"loadtest", "--path", "GREENROOM_PATH", "", "/x", "/x", func(c *cli) any { return c.Loadtest.Path }},
		{"loadtest", "--pid", "GREENROOM_PID", 0, 7, "7", func(c *cli) any { return c.Loadtest.PID }},
		{"loadtest", "--rounds", "GREENROOM_ROUNDS", 1, 7, "7", func(c *cli) any { return c.Loadtest.Rounds }},
		{"loadtest", "--html", "GREENROOM_HTML", "", "x", "x", func(c *cli) any { return c.Loadtest.HTML }},
		{"loadtest", "--progress", "GREENROOM_PROGRESS", "auto", "on", "on", func(c *cli) any { return c.Loadtest.Progress }},
	} {
		t.Run(f.flag, func(t *testing.T) {
			args := strings.Fields(f.command)
			check := func(from string, c cli, want any) {
				t.Helper()
				if got := f.field(&c); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %v, want %v", from, got, want)
				}
			}
			check("default", parse(t, args...), f.standard)
			check("flag", parse(t, append(args, f.flag+"="+f.text)...), f.value)
			t.Setenv(f.env, f.text)
			check(f.env, parse(t, args...), f.value)
			if f.command == "serve" {
				check(f.env+" of the default command", parse(t), f.value)
			}
			if s, ok := f.standard.(string); ok && s != "" {
				check("flag over "+f.env, parse(t, append(args, f.flag+"="+s)...), f.standard)
			}
		})
	}
}

// TestServeRefuses: one clear sentence and exit code 2, before anything is opened.
func TestServeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"every interface", []string{"--listen", "0.0.0.0:0"}, []string{"--listen 0.0.0.0:0", "--insecure"}},
		{"no host", []string{"--listen", ":0"}, []string{"--listen :0", "--insecure"}},
		{"every IPv6 interface", []string{"--listen", "[::]:0"}, []string{"--listen [::]:0", "--insecure"}},
		{"a name", []string{"--listen", "rooms.example:80"}, []string{"--listen rooms.example:80", "--insecure"}},
		{"PULL on every interface", []string{"--zmq-pull", "tcp://*:0"}, []string{"--zmq-pull tcp://*:0", "--insecure"}},
		{"XPUB on every interface", []string{"--zmq-pub", "tcp://0.0.0.0:0"}, []string{"--zmq-pub tcp://0.0.0.0:0", "--insecure"}},
		{"SUB on every interface", []string{"--zmq-sub", "tcp://[::]:0"}, []string{"--zmq-sub tcp://[::]:0", "--insecure"}},
		{"no port", []string{"--listen", "127.0.0.1"}, []string{`--listen "127.0.0.1"`, "host:port"}},
		{"a port alone", []string{"--listen", "3000"}, []string{`--listen "3000"`, "host:port"}},
		{"nothing", []string{"--listen", ""}, []string{`--listen ""`, "host:port"}},
		{"PULL without a scheme", []string{"--zmq-pull", "127.0.0.1:1"}, []string{`--zmq-pull "127.0.0.1:1"`, "tcp://host:port"}},
		{"XPUB of another scheme", []string{"--zmq-pub", "udp://127.0.0.1:1"}, []string{`--zmq-pub "udp://127.0.0.1:1"`, "tcp://host:port"}},
		{"SUB without a path", []string{"--zmq-sub", "ipc://"}, []string{`--zmq-sub "ipc://"`, "ipc:///path"}},
		{"a publisher that is no address", []string{"--listen", "127.0.0.1:0", "--zmq-connect", "localhost:5556"}, []string{`--zmq-connect "localhost:5556"`, "tcp://host:port"}},
		{"a layout that is none", []string{"--listen", "127.0.0.1:0", "--zmq-sub-layout", "xml"}, []string{"--zmq-sub-layout", "text-space"}},
		{"a payload rule that is none", []string{"--listen", "127.0.0.1:0", "--zmq-pull-payload", "xml"}, []string{"--zmq-pull-payload", "binary"}},
		{"not insecure either", []string{"--insecure", "--zmq-sub", "nonsense"}, []string{`--zmq-sub "nonsense"`, "tcp://host:port"}},
		{"nothing to serve", nil, []string{"every endpoint is off"}},
		{"off in other letters", []string{"--listen", "OFF"}, []string{`--listen "OFF"`, "or off"}},
		{"fewer loops than none", []string{"--listen", "127.0.0.1:0", "--loops=-1"}, []string{"--loops -1: want 0"}},
		{"fewer loops than none, in two words", []string{"--listen", "127.0.0.1:0", "--loops", "-1"}, []string{"--loops -1: want 0"}},
		{"an origin without a scheme", []string{"--listen", "127.0.0.1:0", "--cors-origin", "foo"}, []string{`--cors-origin "foo"`, "scheme://host"}},
		{"one good origin and a bad one", []string{"--listen", "127.0.0.1:0", "--cors-origin", "https://a.example", "--cors-origin", "https://a.example/app"}, []string{`"https://a.example/app"`}},
		{"a host with a port", []string{"--listen", "127.0.0.1:0", "--host", "rooms.example:80"}, []string{`--host "rooms.example:80"`, "without a scheme"}},
		{"a host with a scheme", []string{"--listen", "127.0.0.1:0", "--host", "http://rooms.example"}, []string{"--host", "without a scheme"}},
		{"a certificate without a key", []string{"--listen", "127.0.0.1:0", "--tls-cert", "cert.pem"}, []string{"--tls-cert and --tls-key"}},
		{"a certificate for nothing", []string{"--zmq-pull", "tcp://127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"}, []string{"--listen, which is off"}},
		{"a key without a certificate", []string{"--listen", "127.0.0.1:0", "--tls-key", "key.pem"}, []string{"--tls-cert and --tls-key"}},
		{"an administrator without a name", []string{"--listen", "127.0.0.1:0", "--admin-ui", "--admin-hash", adminHash}, []string{"--admin-user and --admin-hash"}},
		{"an administrator without a password", []string{"--listen", "127.0.0.1:0", "--admin-ui", "--admin-user", "ann"}, []string{"--admin-user and --admin-hash"}},
		{"an administrator's password itself", []string{"--listen", "127.0.0.1:0", "--admin-ui", "--admin-user", "ann", "--admin-hash", "secret"}, []string{"--admin-hash", "bcrypt", "single quotes"}},
		{"an administrator, and no Admin UI", []string{"--listen", "127.0.0.1:0", "--admin-user", "ann"}, []string{"--admin-ui, which is missing"}},
		{"an Admin UI for nothing", []string{"--zmq-pull", "tcp://127.0.0.1:0", "--admin-ui", "--admin-user", "ann", "--admin-hash", adminHash}, []string{"--listen, which is off"}},
		{"a mode that is none", []string{"--listen", "127.0.0.1:0", "--admin-mode", "loud"}, []string{"--admin-mode", "production"}},
		{"messages of nothing", []string{"--listen", "127.0.0.1:0", "--max-message", "0"}, []string{"--max-message 0: want 1"}},
		{"a rate of nothing", []string{"--listen", "127.0.0.1:0", "--event-rate", "0"}, []string{"--event-rate 0: want 1", "-1"}},
		{"an address's rate below none", []string{"--listen", "127.0.0.1:0", "--address-handshake-rate=-1"}, []string{"--address-handshake-rate -1: want 0"}},
		{"no time for a head", []string{"--listen", "127.0.0.1:0", "--header-timeout", "0"}, []string{"--header-timeout 0s: want a time"}},
		{"recovery of the past", []string{"--listen", "127.0.0.1:0", "--recovery=-1s"}, []string{"--recovery -1s: want 0"}},
		{"a cookie that is none", []string{"--listen", "127.0.0.1:0", "--cookie", "a=b"}, []string{`--cookie "a=b"`}},
		{"a proxy that is no network", []string{"--listen", "127.0.0.1:0", "--trusted-proxy", "10.0.0.1"}, []string{"--trusted-proxy", "10.0.0.1"}},
		{"a log level that is none", []string{"--log-level", "loud"}, []string{"--log-level", "debug"}},
		{"control on every interface", []string{"--zmq-control", "tcp://0.0.0.0:0"}, []string{"--zmq-control tcp://0.0.0.0:0", "--insecure"}},
		{"workers of another scheme", []string{"--zmq-workers", "udp://127.0.0.1:1"}, []string{`--zmq-workers "udp://127.0.0.1:1"`, "tcp://host:port"}},
		{"Redis' settings without Redis", []string{"--listen", "127.0.0.1:0", "--redis-adapter", "streams"}, []string{"--redis URL, which is missing"}},
		{"Redis of another scheme", []string{"--listen", "127.0.0.1:0", "--redis", "http://h"}, []string{"--redis", `"http"`, "redis+cluster"}},
		{"Sentinels without a master", []string{"--listen", "127.0.0.1:0", "--redis", "redis+sentinel://h"}, []string{"--redis", "which master"}},
		{"Redis' certificate without its key", []string{"--listen", "127.0.0.1:0", "--redis", "rediss://h", "--redis-tls-cert", "f"}, []string{"--redis-tls-cert and --redis-tls-key"}},
		{"a stream without its adapter", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-stream-max-len", "5"}, []string{"--redis-adapter streams"}},
		{"a stream of nothing", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-adapter", "streams", "--redis-stream-read-count", "0"}, []string{"--redis-stream-read-count"}},
		{"personal answers elsewhere", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-adapter", "streams", "--redis-personal-answers"}, []string{"--redis-adapter classic"}},
		{"a stream without Redis", []string{"--listen", "127.0.0.1:0", "--redis-stream-block", "1s"}, []string{"--redis URL"}},
		{"Redis' authority without TLS", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-tls-ca", "testdata"}, []string{"--redis-tls-ca"}},
		{"questions of another adapter", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-sharded-pubsub"}, []string{"--redis-adapter streams"}},
		{"a mode of another adapter", []string{"--listen", "127.0.0.1:0", "--redis", "redis://h", "--redis-mode", "static"}, []string{"--redis-adapter sharded"}},
		{"workers without their endpoint", []string{"--listen", "127.0.0.1:0", "--workers", "/"}, []string{"--zmq-workers"}},
		{"workers that are no namespace", []string{"--zmq-workers", "tcp://127.0.0.1:0", "--workers", "chat"}, []string{`--workers "chat"`}},
		{"authentication by nobody", []string{"--zmq-workers", "tcp://127.0.0.1:0", "--workers-auth"}, []string{"--workers-auth", "--workers"}},
		{"no control at all", []string{"--zmq-control", "tcp://127.0.0.1:0", "--control-rate", "0"}, []string{"--control-rate"}},
		{"an argument", []string{"serve", "please"}, []string{"please"}},
	} {
		args := append([]string{"serve", "--listen", "off", "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off"}, c.args...)
		if c.name == "an argument" {
			args = c.args
		}
		code, out, said := command(t, args...)
		if code != 2 || strings.Count(said, "\n") != 1 || out != "" {
			t.Errorf("%s: exit %d, said %q %q", c.name, code, said, out)
		}
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: said %q, want %q in it", c.name, said, want)
			}
		}
	}
}

func TestLoopbackAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:3000": true, "localhost:1": true, "[::1]:1": true, "127.9.9.9:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "example.com:1": false, "localhost.example:1": false, "10.0.0.1:1": false,
	} {
		host, ok := hostOf(addr, false)
		if !ok || loopback(host) != want {
			t.Errorf("%s: %q %v, loopback %v", addr, host, ok, !want)
		}
		host, ok = hostOf("tcp://"+addr, true)
		if !ok || loopback(host) != want {
			t.Errorf("tcp://%s: %q %v, loopback %v", addr, host, ok, !want)
		}
	}
	if host, ok := hostOf("ipc:///tmp/x", true); !ok || !loopback(host) {
		t.Error("a socket file")
	}
}

// TestOff: any endpoint can be missing; what is there works, and the banner names it alone.
func TestOff(t *testing.T) {
	const anyAddr = "127.0.0.1:0"
	for _, c := range []struct {
		name                   string
		listen, pull, pub, sub string
		lines                  []string
	}{
		{"ZeroMQ", anyAddr, off, off, off, []string{"http://"}},
		{"HTTP", off, anyPort, anyPort, anyPort, []string{"push here", "subscribe here", "PUB sockets"}},
		{"PULL", anyAddr, off, anyPort, anyPort, []string{"http://", "subscribe here", "PUB sockets"}},
		{"XPUB", anyAddr, anyPort, off, anyPort, []string{"http://", "push here", "PUB sockets"}},
		{"SUB", anyAddr, anyPort, anyPort, off, []string{"http://", "push here", "subscribe here"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var out, errs lockedBuffer
			code := make(chan int, 1)
			go func() {
				code <- run(ctx, []string{"--listen", c.listen, "--zmq-pull", c.pull, "--zmq-pub", c.pub, "--zmq-sub", c.sub, "--zmq-control", "off", "--zmq-workers", "off"}, nil, &out, &errs)
			}()
			for deadline := time.Now().Add(patience); strings.Count(out.String(), "\n") < len(c.lines); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("said %q %q", out.String(), errs.String())
				}
			}
			cancel()
			if got := <-code; got != 0 {
				t.Errorf("exit %d: %s", got, errs.String())
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != len(c.lines) || !strings.HasPrefix(lines[0], "Greenroom  ") {
				t.Fatalf("said\n%s", out.String())
			}
			for i, want := range c.lines {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
				}
			}
		})
	}
}

// TestInsecure: with it the server listens where others can reach it, and does what it is asked to.
func TestInsecure(t *testing.T) {
	r := serve(t, "--insecure", "--listen", "0.0.0.0:0", "--zmq-pull", "tcp://*:*")
	if code, body := get(t, r.url+"/healthz"); code != 200 {
		t.Errorf("%d %q", code, body)
	}
	for _, addr := range []string{r.url, r.pull} { // what one can connect to, not [::]
		if !strings.Contains(addr, "://127.0.0.1:") {
			t.Errorf("the banner says %s", addr)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for origin, want := range map[string]string{
		"*": "*", "https://x.example": "https://x.example", "https://x.example/": "https://x.example",
		"HTTPS://X.Example:443": "https://x.example", "http://x.example:80/": "http://x.example", "http://x.example:443": "http://x.example:443",
		"http://[::1]:3000": "http://[::1]:3000", "capacitor://localhost": "capacitor://localhost",
		"": "", "foo": "", "null": "", "x.example": "", "https://": "", "https:///": "", "https://x.example/app": "", "https://x.example?": "",
		"https://x.example#a": "", "https://u@x.example": "", "//x.example": "", "https://*": "", "https://x.example:port": "", "https:x.example": "",
	} {
		got, err := checkOrigin(origin)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", origin, got, err, want)
		}
	}
}

// TestCorsOrigin: an origin is let in however its owner wrote it, and no other.
func TestCorsOrigin(t *testing.T) {
	r := serve(t, "--cors-origin", "https://Rooms.example/")
	for origin, want := range map[string]int{"https://rooms.example": 200, "https://other.example": 403} {
		code, body := getAs(t, r.url+"/socket.io/?EIO=4&transport=polling", "", origin)
		if code != want {
			t.Errorf("%s: %d %s", origin, code, body)
		}
		if code == 200 {
			leave(t, r.url, body)
		}
	}
}

// TestMisuse: exit code 2, and one line that says what is wrong.
func TestMisuse(t *testing.T) {
	for _, args := range [][]string{
		{"no-such-command"}, {"--no-such-flag"}, {"--loops", "many"}, {"listen"}, {"publish"}, {"publish", "room"},
		{"publish", "--timeout", "soon", "room", "x"}, {"version", "please"},
		{"publish", "lobby", "a", "b", "c"}, {"publish", "--to", "foo", "lobby", "x"}, {"publish", "--to", "http://", "lobby", "x"},
		{"publish", "--to", "127.0.0.1:5560", "lobby", "x"}, {"listen", "--from", "foo", "lobby"}, {"listen", "--from", "ftp://127.0.0.1:1", "lobby"},
		{"loadtest"}, {"loadtest", "x"}, {"loadtest", "--mode", "dance", "127.0.0.1:1"}, {"loadtest", "--clients", "0", "127.0.0.1:1"}, {"loadtest", "--cmd", "a=b"},
	} {
		code, out, said := command(t, args...)
		if code != 2 || out != "" || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "greenroom: ") {
			t.Errorf("%q: exit %d, said %q %q", args, code, out, said)
		}
	}
	t.Setenv("GREENROOM_LOOPS", "many")
	if code, _, said := command(t); code != 2 || !strings.Contains(said, "GREENROOM_LOOPS") {
		t.Errorf("a wrong environment variable: exit %d, said %q", code, said)
	}
}

// TestSubscriberFlags: each reaches the option that it is about, and none of the publishers'.
func TestSubscriberFlags(t *testing.T) {
	c := parse(t, "serve", "--zmq-pub-style", "plain", "--zmq-pub-slow", "drop", "--zmq-pub-lag", "3s", "--zmq-pub-welcome", "hello", "--zmq-pub-heartbeat=-1s").Serve
	var got zeromq.Options
	c.Subscribers.apply(&got)
	want := zeromq.Options{PubStyle: zeromq.Plain, Slow: zeromq.SlowDrop, MaxLag: 3 * time.Second, Welcome: []string{"hello"}, PubHeartbeat: -time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
