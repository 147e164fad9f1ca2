package socketio

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// Options configure a [Server]. Zero values mean the defaults given.
type Options struct {
	// Engine configures the transports below: path, heartbeat, sizes, origins, and whether clients of versions 1
	// and 2 may come (AllowEIO3). Its Wires are set here.
	Engine engineio.Options

	// Parser is how packets are written, default [JSON]. All clients of the server must use the same.
	Parser Parser

	// ConnectTimeout is how long a client may take to join its first namespace. Default 45 s.
	ConnectTimeout time.Duration
	// PartialTimeout bounds how long a binary packet may wait for its attachments. Default 10 s.
	PartialTimeout time.Duration
	// MaxNamespaces bounds the namespaces of one connection, default 32.
	MaxNamespaces int
	// MaxAttachments bounds the binary values of a packet that comes in, default 10, as clients and Node.js servers
	// have it, and 1000 at most; with [Msgpack], whose clients have no limit, 1000. What goes out holds 10 at most, unless it is
	// msgpack: official clients close the connection over more.
	MaxAttachments int
	// MaxDepth bounds how deep arrays and objects of a packet may be nested, default 128: handlers decode them
	// recursively.
	MaxDepth int
}

func (o Options) withDefaults() Options {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 45 * time.Second
	}
	if o.PartialTimeout <= 0 {
		o.PartialTimeout = 10 * time.Second
	}
	if o.MaxNamespaces <= 0 {
		o.MaxNamespaces = 32
	}
	if o.MaxAttachments <= 0 {
		o.MaxAttachments = o.Parser.maxAttachments()
	}
	o.MaxAttachments = min(o.MaxAttachments, maxBinaries)
	if o.MaxDepth <= 0 {
		o.MaxDepth = maxDepth
	}
	o.Engine.Wires = o.Parser.wires()
	return o
}

// decoding is what the options say of packets that come in.
func (o *Options) decoding(v4 bool) decoding {
	return decoding{v4: v4, attachments: o.MaxAttachments, depth: o.MaxDepth}
}

// Server connects Socket.IO clients to a hub. It is an [http.Handler].
type Server struct {
	hub    *hub.Hub
	log    *slog.Logger
	opts   Options
	engine *engineio.Server

	recovery bool // the hub has it

	unconnected atomic.Int64
}

// New makes a server for the clients of h.
func New(h *hub.Hub, o Options) *Server {
	ho := h.Options()
	srv := &Server{hub: h, log: ho.Logger, opts: o.withDefaults(), recovery: ho.Recovery != nil}
	srv.engine = engineio.New(h, srv.opts.Engine, srv.open)
	srv.opts.Engine = srv.engine.Options()
	return srv
}

// Engine is the server of the transports below, for its numbers.
func (srv *Server) Engine() *engineio.Server { return srv.engine }

// Unconnected is the number of connections that have not connected to a namespace yet: those whose client is
// slow, or is none of Socket.IO. Any goroutine.
func (srv *Server) Unconnected() int { return int(srv.unconnected.Load()) }

// Close tells all clients that the server goes away, with the reason "server
// shutting down", lets what was sent to them leave, and returns when all
// connections are closed. When ctx ends first, the rest is cut off. New clients
// are answered 503 from now on. The hub is not closed.
func (srv *Server) Close(ctx context.Context) error { return srv.engine.Close(ctx) }

// ServeHTTP implements [http.Handler]. The browser client's files (socket.io.js, …) are not served here:
// mount package web's Client in front, or let pages load them from elsewhere.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { srv.engine.ServeHTTP(w, r) }

// Listener takes WebSocket handshakes for this server from l onto the hub's loops, and lets everything else through to the
// HTTP server that accepts from it: see [engineio.Server.Listener].
func (srv *Server) Listener(l net.Listener, mine func(r *http.Request) bool) net.Listener {
	return srv.engine.Listener(l, mine)
}
