package zeromq

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"
)

// store holds who is let in, read from files. It has its own lock; nothing is called while it is held. load is for one
// goroutine at a time, which loading sees to.
type store struct {
	log  *slog.Logger
	path string
	read reading

	loading sync.Mutex // held while files are read
	seen    string     // how they looked; guarded by loading

	mu      sync.RWMutex
	tickets map[string]*ticket // by key in Z85, or by user
	unread  error              // whom else there may be that cannot be read at the moment
}

// reading reads who is let in. unread says that there may be more: a file that somebody is writing, say.
type reading func(log *slog.Logger, path string) (tickets map[string]*ticket, unread, err error)

// newStore reads for the first time, when what cannot be read is an error.
func newStore(log *slog.Logger, path string, read reading) (*store, error) {
	s := &store{log: log, path: path, read: read}
	s.seen = appearance(path)
	var err error
	s.tickets, s.unread, err = read(log, path)
	return s, err
}

// load reads again what looks different, or everything; it reports whether something is different. Tickets of which
// nothing has changed stay the same. A directory or file that cannot be read lets nobody in until it can.
func (s *store) load(force bool) (changed bool) {
	s.loading.Lock()
	defer s.loading.Unlock()
	looks := appearance(s.path)
	if looks == s.seen && !force {
		return false
	}
	s.seen = looks
	fresh, unread, err := s.read(s.log, s.path)
	if err != nil {
		s.log.Error("zeromq: nobody is let in by what cannot be read", "path", s.path, "error", err)
		fresh, unread = nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = unread
	changed = len(fresh) != len(s.tickets)
	for id, t := range fresh {
		if old := s.tickets[id]; old != nil && reflect.DeepEqual(old, t) {
			fresh[id] = old
			continue
		}
		changed = true
	}
	s.tickets = fresh
	if changed {
		s.log.Info("zeromq: who is let in has changed", "path", s.path, "count", len(fresh))
	}
	return changed
}

func (s *store) get(id string) *ticket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tickets[id]
}

// unknown is what somebody hears who is not in there. One that a file speaks for which cannot be read now is not told to
// stay away, as a ZeroMQ library does when it is denied, but may try again.
func (s *store) unknown(why string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.unread != nil {
		return fmt.Errorf("%s, of which not all can be read: %w", why, s.unread)
	}
	return fmt.Errorf("%w: %s", ErrDenied, why)
}

func (s *store) byKey(k PublicKey) *ticket { return s.get(k.String()) }

// byPassword takes as long for a user who does not exist.
func (s *store) byPassword(user, password string) *ticket {
	t := s.get(user)
	if t == nil {
		samePassword([sha256.Size]byte{}, password)
		return nil
	}
	if !samePassword(t.password, password) {
		return nil
	}
	return t
}

// has reports whether a ticket is still good.
func (s *store) has(t *ticket) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, have := range [2]*ticket{s.tickets[t.key.String()], s.tickets[t.principal.User]} {
		if have == t {
			return true
		}
	}
	return false
}

// appearance is how files look from outside: names, sizes, times.
func appearance(path string) string {
	var b strings.Builder
	note := func(info os.FileInfo, err error) {
		if err != nil {
			fmt.Fprintln(&b, err)
			return
		}
		fmt.Fprintln(&b, info.Name(), info.Size(), info.ModTime().Format(time.RFC3339Nano))
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		note(info, err)
		return b.String()
	}
	files, err := filepath.Glob(filepath.Join(path, "*"+publicSuffix))
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	for _, f := range files {
		note(os.Stat(f))
	}
	return b.String()
}

// readAllowed reads the .key files of a directory. One that is no certificate lets nobody in and is logged: the others
// still count.
func readAllowed(log *slog.Logger, dir string) (tickets map[string]*ticket, unread, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	tickets = make(map[string]*ticket)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), publicSuffix)
		if !ok {
			continue
		}
		t, err := readTicket(filepath.Join(dir, e.Name()), name)
		if err != nil {
			unread = err
		}
		if err == nil && tickets[t.key.String()] != nil {
			err = fmt.Errorf("the key of %s as well", tickets[t.key.String()].principal.User)
		}
		if err != nil {
			log.Error("zeromq: a key file lets nobody in", "file", e.Name(), "error", err)
			continue
		}
		tickets[t.key.String()] = t
	}
	return tickets, unread, nil
}

func readTicket(file, name string) (*ticket, error) {
	c, err := ReadCertificate(file)
	if err != nil {
		return nil, err
	}
	who, err := permissions(func(k string) string { return c.Metadata[k] }, name)
	if err != nil {
		return nil, err
	}
	return &ticket{key: c.Public, principal: who}, nil
}

// readUsers reads the users of PLAIN.
func readUsers(log *slog.Logger, file string) (tickets map[string]*ticket, unread, err error) {
	z, err := readZPL(file)
	if err != nil {
		return nil, nil, err
	}
	tickets = make(map[string]*ticket)
	for user, about := range z {
		who, err := permissions(func(k string) string { return about[k] }, user)
		if err == nil && about["password"] == "" {
			err = fmt.Errorf("no password")
		}
		if err == nil && who.User != user {
			err = fmt.Errorf("a user has the name of its section, not %q", who.User)
		}
		if err != nil {
			log.Error("zeromq: a user is not let in", "file", file, "user", user, "error", err)
			continue
		}
		tickets[user] = &ticket{password: sha256.Sum256([]byte(about["password"])), principal: who}
	}
	return tickets, nil, nil
}

// ReadPlainUser reads the one user of a file like [Security].PlainFile, to be shown to a publisher.
func ReadPlainUser(file string) (u PlainUser, err error) {
	z, err := readZPL(file)
	if err != nil {
		return u, err
	}
	if len(z) != 1 {
		return u, fmt.Errorf("%s has %d sections: want one, named like the user", file, len(z))
	}
	for user, about := range z {
		u = PlainUser{user, about["password"]}
	}
	if u.Password == "" {
		return u, fmt.Errorf("%s: %s has no password", file, u.User)
	}
	return u, nil
}

// warnReadable warns of a file with secrets that other users can read.
func warnReadable(b *Bridge, file string) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		b.opts.Logger.Warn("zeromq: other users of this machine can read a file with secrets: chmod 600 it", "file", file)
	}
}
