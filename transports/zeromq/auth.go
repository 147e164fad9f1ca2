package zeromq

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"greenroom/transports/zeromq/internal/guard"
)

// Security says how the peers of a bridge's bound endpoints prove who they are, and who is let in. The zero value is
// NULL: nobody is asked. With a key it is CURVE, with users PLAIN. Who is let in is decided by Authenticator, by ZAP, or
// by AllowDir or PlainFile, of which one is to be set. All endpoints of a bridge have the same; a program that wants
// another mechanism on another address has a second bridge with the same hub.
type Security struct {
	// CurveKey is the server's secret key; CurveKeyFile is a .key_secret file with one.
	CurveKey     SecretKey
	CurveKeyFile string
	// AllowDir holds .key files of those whom CURVE lets in. The metadata in such a file are its owner's permissions:
	//
	//	metadata
	//	    user = "feeds"
	//	    publish = "prices.*,news"
	//	    read = "*"
	//	    control = "false"
	//	curve
	//	    public-key = "..."
	//
	// user is the file's name without them, and without publish, read and control it may publish and read everything,
	// and not control. The directory is looked at every ReloadEvery, and by [Bridge.Reload]; a connection whose key has
	// gone, or has other permissions now, ends.
	AllowDir string
	// AllowAny lets every key in: traffic is encrypted, and the peers may do everything.
	AllowAny bool
	// PlainFile holds the users of PLAIN, reloaded like AllowDir: sections named like the users, each with password and
	// the metadata of a key file. Passwords cross the network as they are: only loopback and ipc have PLAIN, unless
	// Insecure says otherwise.
	PlainFile string
	// Plain asks for PLAIN where Authenticator or ZAP decides.
	Plain bool
	// AllowFrom are the addresses (192.0.2.7) and networks (192.0.2.0/24) that peers may come from over TCP, whatever
	// else they prove. Default all.
	AllowFrom []string
	// Authenticator decides on every peer, in place of the files. It is called from many goroutines, with a context of
	// AuthTimeout. ErrDenied refuses the peer for good; with any other error, or a panic, it is not let in either, and
	// may try again.
	Authenticator Authenticator
	// ZAP is the endpoint of a ZAP handler (RFC 27), a REP or ROUTER socket, that decides on every peer. Its metadata
	// X-Publish, X-Read and X-Control are permissions, like those in a key file.
	ZAP string
	// AuthTimeout bounds a decision of Authenticator or ZAP. Default 2 s.
	AuthTimeout time.Duration
	// HandshakesPerSecond bounds the CURVE handshakes of the bridge, each of which costs 0.4 ms. What is above it, and
	// not in the burst of the same number, is closed. Default 250.
	HandshakesPerSecond int
	// ReloadEvery is how often files are looked at. Default 2 s.
	ReloadEvery time.Duration

	// ServerKeys are the public keys of those publishers of Options.Connect that speak CURVE. They are shown CurveKey,
	// or one that is made for this process.
	ServerKeys map[string]PublicKey
	// ServerUsers are what those publishers of Options.Connect are shown that speak PLAIN. The password crosses the network
	// as it is.
	ServerUsers map[string]PlainUser
}

// PlainUser is who a bridge is for a publisher that speaks PLAIN; both are at most 255 bytes.
type PlainUser struct{ User, Password string }

// String does not tell the password.
func (u PlainUser) String() string { return u.User }

// GoString does not either.
func (u PlainUser) GoString() string { return fmt.Sprintf("%q", u.User) }

// AuthRequest is what is known of a peer when it is to be let in. The fields are those of ZAP.
type AuthRequest struct {
	Domain    string    // the endpoint: "pull", "sub", "pub", "control", "workers"
	Address   string    // the peer's IP address; "" over ipc
	Identity  string    // what the peer calls its socket; unknown for PLAIN, and never proved
	Mechanism string    // "NULL", "PLAIN" or "CURVE"
	User      string    // PLAIN
	Password  string    // PLAIN
	Key       PublicKey // CURVE: the peer has proved that it has the secret one
}

// Authenticator decides whether a peer is let in, and who it is.
type Authenticator func(context.Context, AuthRequest) (Principal, error)

// ErrDenied is an [Authenticator]'s refusal. The peer is told "400" and nothing else.
var ErrDenied = errors.New("zeromq: denied")

// reasonRevoked is counted when a connection's key or user is not what it was any more.
const reasonRevoked = "zeromq_revoked"

// security is a bridge's.
type security struct {
	bridge  *Bridge
	opts    Security
	curve   *guard.Key // nil without CURVE
	client  guard.Key  // shown to publishers that speak CURVE
	store   *store     // nil when something else decides
	from    []netip.Prefix
	limiter *rate.Limiter

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// ticket is what a peer was let in by, out of a store. Two are the same as long as nothing has changed in the file.
type ticket struct {
	key       PublicKey         // CURVE
	password  [sha256.Size]byte // PLAIN
	principal *Principal
}

func newSecurity(b *Bridge) (*security, error) {
	o := b.opts.Security
	if o.HandshakesPerSecond <= 0 {
		o.HandshakesPerSecond = 250
	}
	if o.AuthTimeout <= 0 {
		o.AuthTimeout = 2 * time.Second
	}
	if o.ReloadEvery <= 0 {
		o.ReloadEvery = 2 * time.Second
	}
	s := &security{bridge: b, opts: o, limiter: rate.NewLimiter(rate.Limit(o.HandshakesPerSecond), o.HandshakesPerSecond)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if o.CurveKeyFile != "" {
		c, err := ReadCertificate(o.CurveKeyFile)
		if err == nil && c.Secret.IsZero() {
			err = fmt.Errorf("%s holds no secret-key: want the %s file", o.CurveKeyFile, secretSuffix)
		}
		if err != nil {
			return nil, fmt.Errorf("the server's key: %w", err)
		}
		if !o.CurveKey.IsZero() && o.CurveKey != c.Secret {
			return nil, errors.New("CurveKey and CurveKeyFile are two keys")
		}
		o.CurveKey = c.Secret
		warnReadable(b, o.CurveKeyFile)
	}
	s.client = guard.Key(o.CurveKey)
	if !o.CurveKey.IsZero() {
		s.curve = &s.client
	} else if len(o.ServerKeys) > 0 {
		k, err := NewSecretKey()
		if err != nil {
			return nil, err
		}
		s.client = guard.Key(k)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	for _, a := range o.AllowFrom {
		prefix, err := netip.ParsePrefix(a)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(a); err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network", a)
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		s.from = append(s.from, prefix.Masked())
	}
	var err error
	switch {
	case o.AllowDir != "":
		s.store, err = newStore(b.opts.Logger, o.AllowDir, readAllowed)
	case o.PlainFile != "":
		warnReadable(b, o.PlainFile)
		s.store, err = newStore(b.opts.Logger, o.PlainFile, readUsers)
	}
	return s, err
}

// check refuses combinations that would let in others than meant.
func (s *security) check() error {
	o := s.opts
	deciders := 0
	for _, set := range []bool{o.Authenticator != nil, o.ZAP != "", o.AllowDir != "", o.PlainFile != "", o.AllowAny} {
		if set {
			deciders++
		}
	}
	plain := o.Plain || o.PlainFile != ""
	switch {
	case deciders > 1:
		return errors.New("of Authenticator, ZAP, AllowDir, AllowAny and PlainFile one decides: set one")
	case s.curve != nil && plain:
		return errors.New("an endpoint speaks CURVE or PLAIN, not both")
	case s.curve != nil && deciders == 0:
		return errors.New("CURVE needs to know whom to let in: set AllowDir, Authenticator, ZAP or AllowAny")
	case plain && deciders == 0:
		return errors.New("PLAIN needs to know whom to let in: set PlainFile, Authenticator or ZAP")
	case s.curve == nil && (o.AllowDir != "" || o.AllowAny):
		return errors.New("AllowDir and AllowAny are for CURVE, which needs the server's key")
	}
	for endpoint := range o.ServerKeys {
		if !slices.Contains(s.bridge.opts.Connect, endpoint) {
			return fmt.Errorf("%s has a key and is no publisher of Connect", endpoint)
		}
	}
	for endpoint, u := range o.ServerUsers {
		_, curve := o.ServerKeys[endpoint]
		switch {
		case curve:
			return fmt.Errorf("%s has a key and a user: a publisher speaks CURVE or PLAIN, not both", endpoint)
		case !slices.Contains(s.bridge.opts.Connect, endpoint):
			return fmt.Errorf("%s has a user and is no publisher of Connect", endpoint)
		case len(u.User) > 255 || len(u.Password) > 255:
			return fmt.Errorf("user or password for %s are longer than 255 bytes", endpoint)
		}
	}
	if o.ZAP != "" {
		if _, _, err := parseEndpoint(o.ZAP); err != nil {
			return fmt.Errorf("ZAP: %w", err)
		}
	}
	return nil
}

func (s *security) start() {
	if s.store != nil {
		s.wg.Go(s.watch)
	}
}

func (s *security) close() {
	s.stop()
	s.wg.Wait()
}

// guard is the guard of an accepted connection, under the endpoints' mechanism.
func (s *security) guard(p *peer, raw net.Conn) *guard.Conn {
	l := p.endpoint.limits
	typ := string(p.endpoint.typ)
	request := func() AuthRequest { return AuthRequest{Domain: p.endpoint.domain(), Address: ipOf(raw.RemoteAddr())} }
	switch {
	case s.curve != nil:
		m := &guard.CurveServer{Secret: *s.curve, Allow: s.limiter.Allow, Admit: func(k guard.Key, identity string) error {
			r := request()
			r.Mechanism, r.Key, r.Identity = "CURVE", PublicKey(k), identity
			return s.admit(p, r)
		}}
		return guard.New(m.Secure(raw, l), typ, l)
	case s.opts.Plain || s.opts.PlainFile != "":
		m := &guard.PlainServer{Admit: func(user, password string) error {
			r := request()
			r.Mechanism, r.User, r.Password = "PLAIN", user, password
			return s.admit(p, r)
		}}
		return guard.New(m.Secure(raw, l), typ, l)
	}
	g := guard.New(raw, typ, l)
	if s.opts.Authenticator != nil || s.opts.ZAP != "" || len(s.from) > 0 {
		g.Admit(func(identity string) error {
			r := request()
			r.Mechanism, r.Identity = "NULL", identity
			return s.admit(p, r)
		})
	}
	return g
}

// dial is a connection to a publisher, under the mechanism that it speaks.
func (s *security) dial(endpoint string, raw net.Conn, l guard.Limits) net.Conn {
	if k, ok := s.opts.ServerKeys[endpoint]; ok {
		return (&guard.CurveClient{Server: guard.Key(k), Secret: s.client}).Secure(raw, l)
	}
	if u, ok := s.opts.ServerUsers[endpoint]; ok {
		return (&guard.PlainClient{User: u.User, Password: u.Password}).Secure(raw, l)
	}
	return raw
}

// admit gives p its principal, or says why it has none.
func (s *security) admit(p *peer, r AuthRequest) error {
	who, t, err := s.decide(r)
	switch {
	case errors.Is(err, ErrDenied):
		return &guard.Violation{Reason: guard.ReasonDenied, Detail: err.Error() + claims(r), Told: "400"}
	case err != nil:
		return &guard.Violation{Reason: guard.ReasonAuthFailed, Detail: err.Error() + claims(r), Silent: true}
	}
	p.is(who)
	p.ticket = t
	return nil
}

// claims names who asked, for the log.
func claims(r AuthRequest) string {
	switch r.Mechanism {
	case "CURVE":
		return ", key " + r.Key.String()
	case "PLAIN":
		return fmt.Sprintf(", user %.64q", r.User)
	}
	return ""
}

// decide asks whoever is to decide.
func (s *security) decide(r AuthRequest) (*Principal, *ticket, error) {
	if !s.mayComeFrom(r.Address) {
		return nil, nil, fmt.Errorf("%w: its address is none that may connect", ErrDenied)
	}
	ask := s.opts.Authenticator
	if s.opts.ZAP != "" {
		ask = s.askZAP
	}
	if ask != nil {
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.AuthTimeout)
		defer cancel()
		who, err := asked(ctx, ask, r)
		return &who, nil, err
	}
	switch r.Mechanism {
	case "CURVE":
		if s.opts.AllowAny {
			return s.bridge.anyone, nil, nil
		}
		if t := s.store.byKey(r.Key); t != nil {
			return t.principal, t, nil
		}
		return nil, nil, s.store.unknown("the key is not in " + s.opts.AllowDir)
	case "PLAIN":
		if t := s.store.byPassword(r.User, r.Password); t != nil {
			return t.principal, t, nil
		}
		return nil, nil, s.store.unknown("no such user, or another password")
	}
	return s.bridge.anyone, nil, nil
}

// asked is ask's answer. One that panics over one peer has not let it in, and harms no other.
func asked(ctx context.Context, ask Authenticator, r AuthRequest) (who Principal, err error) {
	defer func() {
		if v := recover(); v != nil {
			who, err = Principal{}, fmt.Errorf("the authenticator has panicked: %v", v)
		}
	}()
	return ask(ctx, r)
}

// mayComeFrom concerns TCP; ipc has permissions of its own.
func (s *security) mayComeFrom(address string) bool {
	if len(s.from) == 0 || address == "" {
		return true
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	for _, prefix := range s.from {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

func ipOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return ""
}

// domain is the endpoint's name in authentication requests.
func (e *endpoint) domain() string {
	for name, other := range e.bridge.endpoints {
		if other == e {
			return name
		}
	}
	return string(e.typ)
}

// watch looks at the files until close.
func (s *security) watch() {
	ticker := time.NewTicker(s.opts.ReloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.reload(false)
		}
	}
}

// reload reads what has changed and ends connections that were let in by what is not so any more.
func (s *security) reload(force bool) {
	if s.store == nil || !s.store.load(force) {
		return
	}
	for _, e := range s.bridge.endpoints {
		e.mu.Lock()
		for p := range e.peers {
			s.checkTicket(p)
		}
		e.mu.Unlock()
	}
}

// checkTicket ends a connection whose key or user is gone, or has other permissions now.
func (s *security) checkTicket(p *peer) {
	if s.store != nil && p.ticket != nil && !s.store.has(p.ticket) {
		p.guard.Fail(&guard.Violation{Reason: reasonRevoked, Detail: "user " + p.principal.User + " was removed or changed"})
	}
}

// Reload reads the files of Options.Security anew, also when they look unchanged. What cannot be read is logged, and
// lets nobody in. Any goroutine.
func (b *Bridge) Reload() { b.security.reload(true) }

// PublicKey is the server's public key, which CURVE clients have to know; ok is false without CURVE.
func (b *Bridge) PublicKey() (k PublicKey, ok bool) {
	if b.security.curve == nil {
		return k, false
	}
	return PublicKey(guard.PublicKey(b.security.curve)), true
}

// samePassword compares in a time that depends on neither.
func samePassword(have [sha256.Size]byte, given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(have[:], sum[:]) == 1
}
