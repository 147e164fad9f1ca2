package adminui

import (
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"

	"greenroom/coop"
	"greenroom/hub"
)

// Answers to those who are not let in. The pages know the first one.
var (
	errCredentials = &hub.ConnectError{Message: "invalid credentials"}
	errTooMany     = &hub.ConnectError{Message: "too many attempts, try again in a moment"}
)

// maxSecret bounds what is compared.
const maxSecret = 1024

// admit is the middleware of the namespace.
func (a *Admin) admit(s *hub.Session) error {
	var c struct{ SessionID, Username, Password string }
	if json.Unmarshal(s.Handshake().Auth, &c) != nil {
		return errCredentials
	}
	if c.SessionID != "" && a.logins.valid(c.SessionID) {
		return nil
	}
	switch {
	case c.Username == "" || c.Password == "" || len(c.Username) > maxSecret || len(c.Password) > maxSecret:
		a.hub.Count("adminui_login_failed")
		return errCredentials
	case !a.tries.allow(address(s.Handshake()), time.Now()):
		a.hub.Count("adminui_login_limited")
		return errTooMany
	}
	switch err := a.compare(s.Greenlet(), c.Username, c.Password); {
	case errors.Is(err, errTooMany):
		a.hub.Count("adminui_login_busy")
		return errTooMany
	case err != nil:
		a.hub.Count("adminui_login_failed")
		a.log.Warn("an administrator's login failed", "remote", remote(s.Handshake()))
		return errCredentials
	}
	a.hub.Count("adminui_login")
	a.log.Info("an administrator has logged in", "remote", remote(s.Handshake()))
	s.Data = login(a.logins.add())
	return nil
}

// compare parks the greenlet while a goroutine compares the password, also for a wrong user name, so that the time
// tells nothing about it.
func (a *Admin) compare(g *coop.Greenlet, username, password string) error {
	_, err := coop.Await(g, func() (struct{}, error) {
		if !a.tries.begin() {
			return struct{}{}, errTooMany
		}
		defer a.tries.end()
		err := bcrypt.CompareHashAndPassword([]byte(a.opts.Hash), []byte(password))
		if subtle.ConstantTimeCompare([]byte(username), []byte(a.opts.Username)) != 1 {
			err = errCredentials
		}
		return struct{}{}, err
	})
	return err
}

// login, as a session's Data, is the id of a login that has just been made.
type login string

// maxLogins bounds the logins remembered.
const maxLogins = 1000

// logins are the ids that browsers may come back with. Any goroutine.
type logins struct {
	mu    sync.Mutex
	good  time.Duration
	until map[string]time.Time
	order []string // the oldest first
}

func (l *logins) init(good time.Duration) {
	l.good, l.until = good, make(map[string]time.Time)
}

func (l *logins) add() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	id := hex.EncodeToString(b[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == maxLogins {
		delete(l.until, l.order[0])
		l.order = append(l.order[:0], l.order[1:]...)
	}
	l.until[id] = time.Now().Add(l.good)
	l.order = append(l.order, id)
	return id
}

func (l *logins) valid(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[id]
	return ok && time.Now().Before(until)
}

const (
	comparesAtOnce = 2
	triesAtOnce    = 5               // of one address
	triesEach      = 2 * time.Second // one more of it
	triesAllAtOnce = 10              // of all addresses
	triesAll       = 2               // a second more of them: half a core's work at a cost of 12
	maxAddresses   = 10_000
)

// tries bounds how often passwords are compared. Any goroutine.
type tries struct {
	mu      sync.Mutex
	all     *rate.Limiter
	by      map[netip.Prefix]*list.Element
	recent  *list.List // of *caller, the longest quiet at the back
	running int
}

// caller is one address, of IPv6 one network.
type caller struct {
	from  netip.Prefix
	limit *rate.Limiter
}

func (t *tries) init() {
	t.all = rate.NewLimiter(triesAll, triesAllAtOnce)
	t.by, t.recent = make(map[netip.Prefix]*list.Element), list.New()
}

// allow reports whether somebody at an address may try a password.
func (t *tries) allow(from netip.Prefix, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[from]
	if e == nil {
		if len(t.by) == maxAddresses {
			delete(t.by, t.recent.Remove(t.recent.Back()).(*caller).from)
		}
		e = t.recent.PushFront(&caller{from, rate.NewLimiter(rate.Every(triesEach), triesAtOnce)})
		t.by[from] = e
	}
	t.recent.MoveToFront(e)
	return e.Value.(*caller).limit.AllowN(now, 1) && t.all.AllowN(now, 1)
}

// begin reports whether one more comparison may run; end follows it.
func (t *tries) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == comparesAtOnce {
		return false
	}
	t.running++
	return true
}

func (t *tries) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
}

// remote is where a client's connection came from.
func remote(hs *hub.Handshake) string {
	if hs.Request == nil {
		return ""
	}
	return hs.RemoteAddr
}

// address is the client's address; of IPv6 the network that one client has.
func address(hs *hub.Handshake) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote(hs))
	if err != nil {
		return netip.Prefix{} // they share one limit
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
