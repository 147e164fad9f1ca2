package main

import (
	"cmp"
	"net/http"
	"net/netip"
	"time"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

// clientFlags say which Socket.IO clients may come, and what each of them may do. docs/limits.md explains the limits.
type clientFlags struct {
	AllowEIO3       bool           `name:"allow-eio3" env:"GREENROOM_ALLOW_EIO3" help:"Let clients of Socket.IO 1.x and 2.x in."`
	Compress        bool           `help:"Compress messages on the WebSockets of clients that offer it (permessage-deflate)."`
	CompressFrom    int            `default:"1024" help:"Size from which messages, and answers to polls, are compressed, in bytes."`
	Recovery        time.Duration  `default:"0" help:"How long a session waits for a client whose connection broke, such as 2m; 0 is not at all."`
	CorsCredentials bool           `help:"Let pages of --cors-origin send cookies."`
	Cookie          string         `placeholder:"NAME" help:"Give polling clients a cookie with their session's id, for load balancers."`
	TrustedProxy    []netip.Prefix `placeholder:"NETWORK" help:"Network of reverse proxies, such as 10.0.0.0/8, whose X-Forwarded-For and -Proto count. Repeatable."`
	PingInterval    time.Duration  `default:"25s" help:"Time between a pong and the next ping."`
	PingTimeout     time.Duration  `default:"20s" help:"Time for a pong."`

	ConnectTimeout       time.Duration `default:"45s" help:"Time to join the first namespace."`
	HeaderTimeout        time.Duration `default:"10s" help:"Time to send the head of a request."`
	BodyTimeout          time.Duration `default:"20s" help:"Time to send a body, and to take an answer."`
	MaxHeader            int           `default:"16384" help:"Size of the head of a request, in bytes."`
	MaxMessage           int           `default:"1000000" help:"Size of a message, inflated, and of a POST's body, in bytes."`
	MaxAttachments       int           `default:"10" help:"Binary values in one message."`
	MaxDepth             int           `default:"128" help:"Nesting of a message's JSON."`
	MaxNamespaces        int           `default:"32" help:"Namespaces of one client."`
	MaxRooms             int           `default:"128" help:"Rooms that one client is in at once."`
	PrefixRooms          bool          `help:"Let clients join all rooms whose names start with a prefix, which has 3 bytes at least."`
	MaxSessions          int           `default:"250000" help:"Open connections; others are answered 503."`
	MaxPending           int           `default:"10000" help:"Connections that have not said anything yet; the oldest goes for a new one."`
	HandshakeRate        int           `default:"10000" help:"New connections a second; -1 is no limit."`
	AddressHandshakeRate int           `default:"0" help:"New connections a second from one address; 0 is no limit."`
	EventRate            int           `default:"10000" help:"Events a second of one client; -1 is no limit."`
	EventBurst           int           `default:"20000" help:"Events of one client at once before its rate counts."`
	OutboxBytes          int           `default:"1048576" help:"What may wait for a client that does not read, in bytes."`
}

// check refuses limits that would let nothing in, and a cookie that no browser would take.
func (c *clientFlags) check() error {
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"--compress-from", c.CompressFrom}, {"--max-header", c.MaxHeader}, {"--max-message", c.MaxMessage}, {"--max-attachments", c.MaxAttachments},
		{"--max-depth", c.MaxDepth}, {"--max-namespaces", c.MaxNamespaces}, {"--max-rooms", c.MaxRooms}, {"--max-sessions", c.MaxSessions},
		{"--max-pending", c.MaxPending}, {"--event-burst", c.EventBurst}, {"--outbox-bytes", c.OutboxBytes},
	} {
		if n.value < 1 {
			return misuse("%s %d: want 1, or more", n.flag, n.value)
		}
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--handshake-rate", c.HandshakeRate}, {"--event-rate", c.EventRate}} {
		if n.value < 1 && n.value != -1 {
			return misuse("%s %d: want 1, or more, or -1 for no limit", n.flag, n.value)
		}
	}
	if c.AddressHandshakeRate < 0 {
		return misuse("--address-handshake-rate %d: want 0 for no limit, or more", c.AddressHandshakeRate)
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--ping-interval", c.PingInterval}, {"--ping-timeout", c.PingTimeout}, {"--connect-timeout", c.ConnectTimeout},
		{"--header-timeout", c.HeaderTimeout}, {"--body-timeout", c.BodyTimeout},
	} {
		if d.value < time.Millisecond {
			return misuse("%s %v: want a time, such as 20s", d.flag, d.value)
		}
	}
	if c.Recovery < 0 {
		return misuse("--recovery %v: want 0 for none, or a time", c.Recovery)
	}
	if err := (&http.Cookie{Name: cmp.Or(c.Cookie, "io"), Value: "x"}).Valid(); err != nil {
		return misuse("--cookie %q is no name of a cookie", c.Cookie)
	}
	return nil
}

func (c *clientFlags) hubOptions() hub.Options {
	o := hub.Options{OutboxBytes: c.OutboxBytes, EventRate: c.EventRate, EventBurst: c.EventBurst, ReleaseMemory: true}
	if c.Recovery > 0 {
		o.Recovery = &hub.Recovery{MaxDisconnection: c.Recovery}
	}
	return o
}

func (c *clientFlags) relayOptions() hub.RelayOptions {
	o := hub.RelayOptions{MaxRooms: c.MaxRooms}
	if c.PrefixRooms {
		o.MayJoinPrefix = func(*hub.Session, string) error { return nil } // as everybody may join every room
	}
	return o
}

func (c *clientFlags) socketOptions() socketio.Options {
	o := socketio.Options{
		ConnectTimeout: c.ConnectTimeout, MaxNamespaces: c.MaxNamespaces, MaxAttachments: c.MaxAttachments, MaxDepth: c.MaxDepth,
		Engine: engineio.Options{
			PingInterval: c.PingInterval, PingTimeout: c.PingTimeout, BodyTimeout: c.BodyTimeout,
			MaxPayload: c.MaxMessage, MaxSessions: c.MaxSessions, MaxPending: c.MaxPending,
			HandshakeRate: c.HandshakeRate, AddressHandshakeRate: c.AddressHandshakeRate,
			AllowEIO3: c.AllowEIO3, TrustedProxies: c.TrustedProxy,
			CORS:            engineio.CORS{Credentials: c.CorsCredentials},
			HTTPCompression: engineio.HTTPCompression{Threshold: c.CompressFrom},
		},
	}
	if c.Compress {
		o.Engine.PerMessageDeflate = &engineio.Deflate{Threshold: c.CompressFrom}
	}
	if c.Cookie != "" {
		o.Engine.Cookie = &engineio.Cookie{Name: c.Cookie}
	}
	return o
}
