package redis

import (
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// status is what has been told to the operator last.
type status struct {
	told map[string]bool // kinds of reasons, since Redis has gone away; nil while it is there
}

// tell writes one line when Redis has gone away, for each other reason why it is, and when it is back. Under l.mu.
func (l *link) tell() {
	err := l.check()
	switch {
	case l.closed:
	case err == nil && l.status.told != nil:
		l.status = status{}
		l.log.Info("redis: connected, all is subscribed")
	case err != nil && err != errConnecting && !isSubscribing(err):
		// Two connections may have two reasons at once: each is told once, and not whenever they take turns.
		if kind := kindOf(err); !l.status.told[kind] {
			if l.status.told == nil {
				l.status.told = make(map[string]bool)
			}
			l.status.told[kind] = true
			l.log.Warn("redis: away, this node goes on alone", "error", err)
		}
	}
}

// kindOf tells errors apart that an operator does different things about.
func kindOf(err error) string {
	var said goredis.Error
	if errors.As(err, &said) {
		return code(err)
	}
	return "network"
}

func isSubscribing(err error) bool { return errors.Is(err, errSubscribing) }
