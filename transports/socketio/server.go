package socketio

import (
	"context"
	"log/slog"
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
	o.Engine.Wires = o.Parser.wires()
	return o
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
