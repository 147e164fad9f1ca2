package redis

import (
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// status is what has been told to the operator last.
type status struct {
	down bool
	told string
}

// tell writes one line when Redis has gone away, for each other reason why it is, and when it is back. Under l.mu.
func (l *link) tell() {
	err := l.check()
	switch {
	case l.closed:
	case err == nil && l.status.down:
		l.status = status{}
		l.log.Info("redis: connected, all is subscribed")
	case err != nil && err != errConnecting && !isSubscribing(err):
		if kind := kindOf(err); kind != l.status.told {
			l.status = status{down: true, told: kind}
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
