package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/adminui"
	"greenroom/transports/redis"
	"greenroom/transports/socketio"
	"greenroom/transports/zeromq"
	"greenroom/web"
)

// off as an endpoint's address switches the endpoint off.
const off = "off"

const (
	// grace is how long a stopping server takes at most: process managers wait 10 s before they kill.
	grace = 8 * time.Second
	// drain is how much of it clients get to take what waits for them.
	drain = 5 * time.Second
	// idleTimeout is how long an HTTP connection stays without a request.
	idleTimeout = 75 * time.Second
)

type serveCmd struct {
	Listen  string    `default:"127.0.0.1:3000" help:"Address for HTTP and Socket.IO. 'off' for none."`
	ZmqPull string    `default:"tcp://127.0.0.1:5560" help:"ZeroMQ PULL endpoint: publishers push here. 'off' for none."`
	ZmqPub  string    `default:"tcp://127.0.0.1:5561" help:"ZeroMQ XPUB endpoint: subscribe here, by room. 'off' for none."`
	ZmqSub  string    `default:"tcp://127.0.0.1:5562" help:"ZeroMQ SUB endpoint: PUB sockets connect here. 'off' for none."`
	Feeds   feedFlags `embed:""`
	Loops   int       `default:"0" help:"Event loops; 0 is one per core."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Certificate, with its chain, in PEM: --listen then speaks HTTPS, with HTTP/2. SIGHUP reads both files again."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"The certificate's private key, in PEM."`

	Insecure    bool            `help:"Allow to listen on addresses that others can reach although nobody has to prove who they are."`
	CorsOrigin  []string        `placeholder:"ORIGIN" help:"Origin of other sites' pages that may connect, such as https://app.example; '*' for any. Repeatable."`
	Host        []string        `placeholder:"NAME" help:"Name by which others address the server, such as that of a reverse proxy that passes it on. Without --insecure, only loopback names and these are answered. Repeatable."`
	Clients     clientFlags     `embed:""`
	Admin       adminFlags      `embed:""`
	Zmq         zmqFlags        `embed:""`
	Subscribers subscriberFlags `embed:""`
	Requests    requestFlags    `embed:""`
	Redis       redisFlags      `embed:""`

	LogLevel string `default:"info" enum:"debug,info,warn,error" help:"Least severe log lines to write: ${enum}."`
	LogJSON  bool   `name:"log-json" help:"Write the log as JSON."`
	Debug    bool   `help:"Serve /debug/ to everyone who reaches the server, not only to this machine."`
}

// Run serves until ctx is done, then stops in good order.
func (c *serveCmd) Run(ctx context.Context, std *streams) error {
	if err := c.check(); err != nil {
		return err
	}
	log := c.logger(std.err)
	srv, err := c.start(log)
	if err != nil {
		return err
	}
	srv.banner(std.out)
	select {
	case <-ctx.Done():
		log.Info("stopping", "sessions", srv.hub.SessionCount())
	case err = <-srv.failed:
	}
	return errors.Join(err, srv.stop())
}

// check refuses addresses that are none, a server that serves nothing, and to be reachable by others as long
// as nothing asks who they are. It brings origins and hosts into the form in which they are compared.
func (c *serveCmd) check() error {
	open := 0
	for _, e := range append([]endpointFlag{
		{"--listen", c.Listen, "host:port"},
		{"--zmq-pull", c.ZmqPull, "tcp://host:port or ipc:///path"},
		{"--zmq-pub", c.ZmqPub, "tcp://host:port or ipc:///path"},
		{"--zmq-sub", c.ZmqSub, "tcp://host:port or ipc:///path"},
	}, c.Requests.endpoints()...) {
		if e.addr == off {
			continue
		}
		open++
		host, ok := hostOf(e.addr, e.flag != "--listen")
		if !ok {
			return misuse("%s %q is no address: want %s, or off", e.flag, e.addr, e.want)
		}
		if !c.Insecure && !loopback(host) && (e.flag == "--listen" || !c.Zmq.secure()) {
			how := "use a loopback address"
			if e.flag != "--listen" {
				how += ", give --zmq-curve-key"
			}
			return misuse("%s %s can be reached from other machines, and no authentication is configured: %s, or say --insecure if everyone who reaches it may read and write every room", e.flag, e.addr, how)
		}
	}
	if open == 0 {
		return misuse("nothing to serve: every endpoint is off")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return misuse("--tls-cert and --tls-key belong together")
	}
	if c.TLSCert != "" && c.Listen == off {
		return misuse("--tls-cert is for --listen, which is off")
	}
	if err := c.Zmq.check(c.Feeds.Connect); err != nil {
		return err
	}
	if err := c.Admin.check(c.Listen); err != nil {
		return err
	}
	if err := c.Feeds.check(); err != nil {
		return err
	}
	if err := c.Redis.check(); err != nil {
		return err
	}
	if c.Loops < 0 {
		return misuse("--loops %d: want 0 for one per core, or more", c.Loops)
	}
	if err := c.Requests.check(); err != nil {
		return err
	}
	err := c.Clients.check()
	if err != nil {
		return err
	}
	for i, origin := range c.CorsOrigin {
		if c.CorsOrigin[i], err = checkOrigin(origin); err != nil {
			return err
		}
	}
	for i, name := range c.Host {
		if c.Host[i], err = checkHost(name); err != nil {
			return err
		}
	}
	return nil
}

// hostOf is the host in host:port, or in a ZeroMQ endpoint; socket files have the host "localhost".
func hostOf(addr string, zeromq bool) (host string, ok bool) {
	if zeromq {
		if strings.HasPrefix(addr, "ipc://") {
			return "localhost", len(addr) > len("ipc://")
		}
		if addr, ok = strings.CutPrefix(addr, "tcp://"); !ok {
			return "", false
		}
	}
	host, _, err := net.SplitHostPort(addr)
	return host, err == nil
}

// loopback reports whether a host is this machine and no other reaches it. Names other than localhost are
// not looked up: where they lead may change.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *serveCmd) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong checked it
	o := &slog.HandlerOptions{Level: level}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// server is everything that serves; stop ends it in the reverse order of start.
type server struct {
	log        *slog.Logger
	hub        *hub.Hub
	sockets    *socketio.Server
	admin      *adminui.Admin // nil unless it is asked for
	bridge     *zeromq.Bridge
	redis      *redis.Adapter // nil unless this node is one of several
	cluster    string         // where that is
	adapter    string         // its kind
	http       *http.Server
	listener   net.Listener
	cert       *certificate // nil without TLS
	watchdog   *coop.Watchdog
	failed     chan error
	stopping   atomic.Bool
	quit       chan struct{} // closed when stopping begins
	debug      bool
	tracing    sync.Mutex     // held while a trace is recorded
	background sync.WaitGroup // what ends with quit
}

func (c *serveCmd) start(log *slog.Logger) (_ *server, err error) {
	s := &server{log: log, failed: make(chan error, 1), quit: make(chan struct{}), debug: c.Debug}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	o := c.Clients.hubOptions()
	o.Loops, o.Logger, o.Node = c.Loops, log, c.Redis.Node
	if s.redis, err = c.Redis.adapter(); err != nil {
		return s, err
	}
	if s.redis != nil { // a nil pointer would be an adapter
		o.Adapter, s.cluster, s.adapter = s.redis, redis.Where(c.Redis.URL), c.Redis.Kind
	}
	if s.hub, err = hub.New(o); err != nil {
		return s, err
	}
	s.watchdog = coop.Watch(coop.WatchdogOptions{OnBlock: s.held}, s.hub.Loops().All()...)
	if c.Requests.relays() {
		if err = s.hub.Handle("/", hub.Relay(c.Clients.relayOptions())); err != nil {
			return s, err
		}
	}
	s.sockets = socketio.New(s.hub, c.socketOptions())
	if err = s.serveAdmin(c.Admin); err != nil {
		return s, err
	}
	if c.ZmqPull != off || c.ZmqPub != off || c.ZmqSub != off || len(c.Feeds.Connect) > 0 || c.Requests.on() {
		z := zeromq.Options{
			Pull: endpoint(c.ZmqPull), Pub: endpoint(c.ZmqPub), Sub: endpoint(c.ZmqSub),
			Insecure: c.Insecure, Logger: log,
		}
		if err = c.Feeds.apply(&z); err != nil {
			return s, err
		}
		if z.Security, err = c.Zmq.security(); err != nil {
			return s, err
		}
		c.Subscribers.apply(&z)
		c.Requests.apply(&z)
		s.bridge, err = zeromq.Listen(s.hub, z)
		if bind := (*zeromq.BindError)(nil); errors.As(err, &bind) {
			err = fmt.Errorf("--zmq-%s: %w", bind.Name, bind.Err)
		}
		if err == nil {
			err = c.Requests.mount(s.hub, s.bridge.Workers())
		}
		if err != nil {
			return s, err
		}
	}
	if s.bridge != nil && c.Zmq.reloads() {
		s.atHangup(s.bridge.Reload)
	}
	if c.TLSCert != "" {
		if s.cert, err = loadCertificate(c.TLSCert, c.TLSKey); err != nil {
			return s, err
		}
		s.cert.describe(log)
		s.atHangup(func() { s.cert.reload(s.log) })
	}
	if c.Listen != off {
		if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
			return s, fmt.Errorf("--listen: %w", err)
		}
		handler := s.routes()
		var mine func(*http.Request) bool
		if !c.Insecure {
			handler = ownHosts(c.Host, handler, s.foreignHost)
			mine = func(r *http.Request) bool { return ownHost(c.Host, r.Host) }
		}
		s.serveHTTP(handler, s.sockets.Listener(s.listener, mine), &c.Clients)
	}
	return s, nil
}

// foreignHost notes a request for another host.
func (s *server) foreignHost(r *http.Request) {
	s.hub.Count(reasonForeignHost)
	s.log.Debug("HTTP request refused", "reason", reasonForeignHost, "host", r.Host, "remote", r.RemoteAddr)
}

// serveHTTP serves everything that comes through the door, and with a certificate everything.
func (s *server) serveHTTP(handler http.Handler, door net.Listener, c *clientFlags) {
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: c.HeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    c.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	serve := func() error { return s.http.Serve(door) }
	if s.cert != nil {
		serve = s.serveTLS
	}
	go func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving HTTP: %w", err)
		}
	}()
}

func (c *serveCmd) socketOptions() socketio.Options {
	o := c.Clients.socketOptions()
	o.Engine.CORS.AllowedOrigins = c.CorsOrigin
	if c.Admin.On {
		o.Engine.CORS.Credentials = true // the Admin UI always asks with them; nothing here is allowed because of a cookie
	}
	if o.Engine.Cookie != nil {
		o.Engine.Cookie.Secure = c.TLSCert != ""
	}
	return o
}

func endpoint(addr string) string {
	if addr == off {
		return ""
	}
	return addr
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		if web.IsClient(r.URL.Path) {
			web.Client().ServeHTTP(w, r)
			return
		}
		s.sockets.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.stopping.Load() {
			plain(w, http.StatusServiceUnavailable, "stopping")
			return
		}
		if s.redis != nil {
			if err := s.redis.Ready(); err != nil {
				plain(w, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		plain(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", metricsHandler(s))
	s.debugRoutes(mux)
	mux.Handle("/", web.Handler())
	return mux
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

// stop ends the server: publishers keep what they have not sent, clients are told, what waits for them is
// sent as far as the grace time goes. New clients are refused from the start, with 503; the listener stays
// until all have left, because /readyz must say why, and because a polling client without a kept-alive
// connection fetches its leave through it. It may be called on a server that has started in part only.
func (s *server) stop() error {
	s.stopping.Store(true)
	close(s.quit)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var errs []error
	if s.bridge != nil {
		errs = append(errs, s.bridge.CloseIngress())
	}
	if s.sockets != nil {
		s.drain(ctx)
	}
	if s.admin != nil {
		s.admin.Close() // behind the clients, so that administrators see them go, and come back themselves
	}
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil {
			errs = append(errs, s.http.Close())
		}
	}
	if s.bridge != nil {
		errs = append(errs, s.bridge.Close())
	}
	if s.hub != nil {
		errs = append(errs, s.hub.Close())
	}
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	s.background.Wait()
	return errors.Join(errs...)
}

// held reports a loop that does not get on.
func (s *server) held(b coop.Block) {
	s.log.Warn("a loop is held", "loop", b.Loop.Name(), "by", b.Who(), "for", b.For.Round(time.Millisecond), "stack", b.Stack)
}

// drain tells the clients and lets what waits for them leave. One that does not take it in time, such as a
// polling client that never polls again, is cut off: that is no failure of the server's.
func (s *server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	if err := s.sockets.Close(ctx); err != nil {
		s.log.Warn("not all clients took their leave in time", "error", err)
	}
}

// banner says where to point a browser, a Socket.IO client and a ZeroMQ publisher.
func (s *server) banner(w io.Writer) {
	name := "Greenroom"
	line := func(addr, use string) {
		if scheme, port, ok := strings.Cut(addr, "://[::]:"); ok {
			addr, use = scheme+"://127.0.0.1:"+port, use+", on every interface"
		}
		fmt.Fprintf(w, "%-9s  %-29s %s\n", name, addr, use)
		name = ""
	}
	if s.listener != nil {
		page := "chat demo, /socket.io/"
		if !web.Built() {
			page = "/socket.io/ (the pages are not built: run `make web`)"
		}
		scheme := "http"
		if s.cert != nil {
			scheme = "https"
		}
		line(scheme+"://"+s.listener.Addr().String(), page)
	}
	if s.redis != nil {
		line(s.cluster, "node "+s.hub.Node()+" of the cluster there, "+s.adapter)
	}
	if s.bridge == nil {
		return
	}
	for _, e := range []struct{ name, use string }{
		{"pull", "push here: [room, event?, data]"},
		{"pub", "subscribe here, by room"},
		{"control", "ask here (REQ): publish, list, kick"},
		{"workers", "workers for clients' events (DEALER)"},
		{"sub", "connect PUB sockets here: [room, event?, data]"},
	} {
		if a := s.bridge.Addr(e.name); a != "" {
			line(a, e.use)
		}
	}
	if k, ok := s.bridge.PublicKey(); ok {
		fmt.Fprintf(w, "%-9s  CURVE, server key %s\n", "", k)
	}
}
