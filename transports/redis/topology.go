package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// topology is where the servers are. Nodes are named by their addresses, "" is the one for whatever has no place of its
// own. dial, load and subscribers wait for the network, the others do not.
type topology interface {
	// owner is the node for a key or a sharded channel.
	owner(key string) string
	// moved notes that a server has named another owner, failed that a node cannot be reached.
	moved(slot int, addr string)
	failed(addr string)
	// from completes an address that the node from has given, and that is its own but for the port.
	from(from, addr string) string
	// load asks anew who owns what, if there is anything to learn, which learn then takes; owns reports whether a node has anything.
	load(ctx context.Context) (learn func(), err error)
	owns(addr string) bool

	// dial connects to a node, with TLS where that is wanted; credentials are for that connection.
	dial(ctx context.Context, addr string) (net.Conn, error)
	credentials(ctx context.Context) (user, password string, err error)
	// node is a client of a node, universal one of all.
	node(addr string) *goredis.Client
	universal() goredis.UniversalClient
	// subscribers is how many connections of all servers are subscribed.
	subscribers(ctx context.Context, sharded bool, channel string) (int, error)
	close()
}

// newTopology prepares what the options name. It does not connect.
func newTopology(o Options) (topology, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	switch c := o.Client.(type) {
	case nil:
	case *goredis.Client:
		opt := *c.Options()
		quiet(&opt, o.Timeout)
		return single{goredis.NewClient(&opt), func() {}}, nil
	case *goredis.ClusterClient:
		opt := *c.Options()
		quietCluster(&opt, o.Timeout)
		return newCluster(&opt, func() {}), nil
	default:
		return nil, fmt.Errorf("redis: Options.Client is a %T: one of NewClient, NewFailoverClient and NewClusterClient is needed", o.Client)
	}
	if o.URL == "" {
		o.URL = "redis://127.0.0.1:6379"
	}
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	logIn, err := o.login(at)
	if err != nil {
		return nil, err
	}
	var secure *tls.Config
	if at.tls {
		secure = new(tls.Config)
		if o.TLS != nil {
			secure = o.TLS.Clone()
		}
	} else if o.TLS != nil || o.Authorities != nil {
		return nil, errors.New("redis: there are settings for TLS, but the URL is without: write rediss:// instead of redis://")
	}
	d := newDialer(o.Timeout, secure, o.Authorities)
	switch at.kind {
	case atSentinels:
		opt := &goredis.FailoverOptions{
			Dialer:     d.dial,
			MasterName: at.master, SentinelAddrs: at.addrs, DB: at.db, TLSConfig: secure, CredentialsProviderContext: logIn,
			SentinelUsername: o.SentinelUser, SentinelPassword: o.SentinelPassword,
			MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true,
			DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout,
		}
		return single{goredis.NewFailoverClient(opt), d.end}, nil
	case atCluster:
		opt := &goredis.ClusterOptions{Addrs: at.addrs, Dialer: d.dial, TLSConfig: secure, CredentialsProviderContext: logIn}
		quietCluster(opt, o.Timeout)
		return newCluster(opt, d.end), nil
	}
	opt := &goredis.Options{Addr: at.addrs[0], DB: at.db, Dialer: d.dial, TLSConfig: secure, CredentialsProviderContext: logIn}
	if at.kind == atSocket {
		opt.Network = "unix"
	}
	quiet(opt, o.Timeout)
	return single{goredis.NewClient(opt), d.end}, nil
}

// dialer connects until it is ended. go-redis' own goes on with a handshake of TLS whatever its context says, and its pool
// dials in goroutines that nobody waits for.
type dialer struct {
	connect func(ctx context.Context, network, addr string) (net.Conn, error)
	ctx     context.Context
	end     context.CancelFunc
}

func newDialer(timeout time.Duration, secure *tls.Config, authorities func() (*x509.CertPool, error)) *dialer {
	d := new(dialer)
	d.ctx, d.end = context.WithCancel(context.Background())
	plain := &net.Dialer{Timeout: timeout} // of the handshake too
	d.connect = plain.DialContext
	switch {
	case secure == nil:
	case authorities == nil:
		d.connect = (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext
	default:
		d.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
			own := secure.Clone()
			var err error
			if own.RootCAs, err = authorities(); err != nil {
				return nil, err
			}
			return (&tls.Dialer{NetDialer: plain, Config: own}).DialContext(ctx, network, addr)
		}
	}
	return d
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	return d.connect(ctx, network, addr)
}

// login is who the connections are: of the options, else of the URL. A file is read for each connection, so that a
// password can be changed.
func (o Options) login(at location) (func(context.Context) (user, password string, err error), error) {
	user, password := at.user, at.password
	if o.User != "" {
		user = o.User
	}
	switch {
	case o.Password != "" && o.PasswordFile != "":
		return nil, errors.New("redis: there is a password and a file with one: give one of them")
	case at.password != "" && (o.Password != "" || o.PasswordFile != ""):
		return nil, errors.New("redis: there is a password in the URL and another beside it: give one of them")
	case o.Password != "":
		password = o.Password
	case o.PasswordFile != "":
		read := func(context.Context) (string, string, error) {
			password, err := ReadPassword(o.PasswordFile)
			return user, password, err
		}
		_, _, err := read(context.Background())
		return read, err
	}
	if user != "" && password == "" {
		return nil, fmt.Errorf("redis: the user %q has no password", user)
	}
	return func(context.Context) (string, string, error) { return user, password, nil }, nil
}

// ReadPassword reads a file that holds a password, and perhaps the end of its line.
func ReadPassword(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("redis: reading a password: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", fmt.Errorf("redis: the password file %s is empty", file)
	}
	return password, nil
}

const defaultTimeout = 3 * time.Second

// Silence switches off the log of go-redis, for the whole process. It writes a line for each attempt to connect to the
// standard error; an [Adapter] writes one for each change to its hub's log.
func Silence() { logging.Disable() }

// quiet sets what the link relies on: no second attempt by the client, which would do a command twice whose answer was
// lost, and no protocol beyond what the adapters need.
func quiet(o *goredis.Options, timeout time.Duration) {
	o.MaxRetries, o.DialerRetries, o.Protocol, o.DisableIdentity = -1, 1, 2, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = timeout, timeout, timeout
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// quietCluster is the same for a Cluster's client, which has to ask again where it is sent elsewhere. The link does not
// send its own commands through it, but through clients of the nodes.
func quietCluster(o *goredis.ClusterOptions, timeout time.Duration) {
	o.MaxRetries, o.DialerRetries, o.Protocol, o.DisableIdentity = -1, 1, 2, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = timeout, timeout, timeout
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// single is one server: by itself, or the one that Sentinels name.
type single struct {
	client *goredis.Client
	end    func() // of what is being dialled
}

func (s single) owner(string) string                  { return "" }
func (s single) moved(int, string)                    {}
func (s single) failed(string)                        {}
func (s single) from(_, addr string) string           { return addr }
func (s single) load(context.Context) (func(), error) { return func() {}, nil }
func (s single) owns(string) bool                     { return true }

func (s single) dial(ctx context.Context, _ string) (net.Conn, error) {
	o := s.client.Options()
	return o.Dialer(ctx, o.Network, o.Addr)
}

func (s single) credentials(ctx context.Context) (user, password string, err error) {
	return credentials(ctx, s.client.Options())
}

func credentials(ctx context.Context, o *goredis.Options) (user, password string, err error) {
	switch {
	case o.CredentialsProviderContext != nil:
		return o.CredentialsProviderContext(ctx)
	case o.CredentialsProvider != nil:
		user, password = o.CredentialsProvider()
		return user, password, nil
	}
	return o.Username, o.Password, nil
}

func (s single) node(string) *goredis.Client        { return s.client }
func (s single) universal() goredis.UniversalClient { return s.client }
func (s single) close()                             { s.end(); _ = s.client.Close() }

func (s single) subscribers(ctx context.Context, sharded bool, channel string) (int, error) {
	return subscribersAt(ctx, s.client, sharded, channel)
}

func subscribersAt(ctx context.Context, c *goredis.Client, sharded bool, channel string) (int, error) {
	ask := c.PubSubNumSub
	if sharded {
		ask = c.PubSubShardNumSub
	}
	m, err := ask(ctx, channel).Result()
	return int(m[channel]), err
}
