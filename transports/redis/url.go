package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// location is what a URL says.
type location struct {
	kind     locationKind
	tls      bool
	addrs    []string // host:port; of a Unix socket, its path
	master   string   // of Sentinels
	db       int
	user     string
	password string
}

type locationKind uint8

const (
	atServer locationKind = iota
	atSocket
	atSentinels
	atCluster
)

var schemes = map[string]location{
	"redis":           {kind: atServer},
	"rediss":          {kind: atServer, tls: true},
	"unix":            {kind: atSocket},
	"redis+sentinel":  {kind: atSentinels},
	"rediss+sentinel": {kind: atSentinels, tls: true},
	"redis+cluster":   {kind: atCluster},
	"rediss+cluster":  {kind: atCluster, tls: true},
}

// parseURL reads where Redis is. It does not use net/url for the hosts, which may be several, separated by commas. Its
// errors never contain the password, nor any of its parts where a sign is missing or not written with %.
func parseURL(s string) (location, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	l, known := schemes[strings.ToLower(scheme)]
	switch {
	case !ok:
		return l, errors.New("redis: the URL has no scheme: it begins with redis://, for example redis://127.0.0.1:6379")
	case !known:
		return l, fmt.Errorf("redis: %q is not a scheme of a Redis URL: these are redis, rediss (with TLS), unix, redis+sentinel, redis+cluster and the last two with rediss", scheme)
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && !strings.HasPrefix(rest, "/") {
		user, password, _ := strings.Cut(rest[:at], ":")
		var err, err2 error
		l.user, err = url.PathUnescape(user)
		l.password, err2 = url.PathUnescape(password)
		if err != nil || err2 != nil {
			return l, errors.New("redis: the URL's user or password has a % that is not followed by two hexadecimal digits: write % as %25")
		}
		rest = rest[at+1:]
	}
	if l.user != "" && l.password == "" {
		return l, errors.New("redis: the URL names a user, but no password: write redis://user:password@host, or give both apart from the URL")
	}
	rest, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return l, errors.New("redis: what follows the ? of the URL cannot be read")
	}
	db := values.Get("db")
	values.Del("db")
	if len(values) > 0 {
		return l, errors.New("redis: something after the URL's ? is unknown: only db is")
	}
	if l.kind == atSocket {
		if !strings.HasPrefix(rest, "/") {
			return l, errors.New("redis: a Unix socket needs an absolute path, as in unix:///run/redis.sock")
		}
		l.addrs = []string{rest}
		return l, l.database(db)
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if l.kind == atSentinels {
		l.master, path, _ = strings.Cut(path, "/")
		if l.master, err = url.PathUnescape(l.master); err != nil || l.master == "" {
			return l, errors.New("redis: the URL does not say which master the Sentinels are asked for: redis+sentinel://host:26379,host2:26379/mymaster")
		}
	}
	if path != "" && db != "" {
		return l, errors.New("redis: the URL names the database twice, in its path and after the ?")
	}
	if err := l.database(path + db); err != nil {
		return l, err
	}
	return l, l.hosts(hosts)
}

func (l *location) database(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("redis: what the URL names is not a database: that is a number from 0")
	}
	if l.kind == atCluster && n != 0 {
		return errors.New("redis: a Redis Cluster has no database but 0")
	}
	l.db = n
	return nil
}

func (l *location) hosts(list string) error {
	port := "6379"
	if l.kind == atSentinels {
		port = "26379"
	}
	for _, host := range strings.Split(list, ",") {
		addr, err := withPort(host, port)
		if err != nil {
			return err
		}
		l.addrs = append(l.addrs, addr)
	}
	if len(l.addrs) > 1 && l.kind == atServer {
		return errors.New("redis: a URL with several hosts is redis+sentinel:// or redis+cluster://")
	}
	return nil
}

func withPort(host, port string) (string, error) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", errors.New("redis: what stands behind the host's colon is not a port (a user and a password end with @, an IPv6 address stands in brackets: [::1]:6379)")
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	} else if strings.ContainsAny(host, ":[]") {
		return "", errors.New("redis: what stands for the host is not a host: a user and a password end with @, an IPv6 address stands in brackets, [::1]:6379")
	}
	if host == "" {
		return "", errors.New("redis: the URL names no host")
	}
	if strings.ContainsAny(host, " \t@#") {
		return "", errors.New("redis: what stands for the host is not a host")
	}
	return net.JoinHostPort(host, port), nil
}

// Where is a URL without its user and password, for people to read.
func Where(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "Redis"
	}
	rest, _, _ = strings.Cut(rest, "?")
	if !strings.HasPrefix(rest, "/") {
		rest = rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return scheme + "://" + rest
}
