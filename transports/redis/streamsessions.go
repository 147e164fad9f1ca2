package redis

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// What the streams adapter saves of sessions: SET sio:session:<pid> with base64 of a msgpack map {sid, pid, rooms, data}, as
// Node.js reads and writes it. Greenroom writes more members, which Node.js passes over, and first of all the token of
// whose it is: so all texts of one owner begin alike, and a script can see, without reading msgpack, whether what is
// there is still its own.

// sessionPrefix is what the keys begin with unless the options say otherwise.
const sessionPrefix = "sio:session:"

// tokenBytes is how long a token is, and tokenText how many characters of base64 stand for the map's header, the key
// "token" and the whole token: 1+6+1+20 bytes, of which 27 make whole characters.
const (
	tokenBytes = 20
	tokenText  = 36
)

// saveScript replaces what is saved, and forgetScript deletes it, if it is the caller's still.
const (
	saveScript = `local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, #ARGV[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return 0`
	forgetScript = `local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`
)

// sessionMembers is how many members the map has, always the same, because they are part of what owners recognise.
const sessionMembers = 8

// appendSession is the map.
func appendSession(dst []byte, s *hub.SavedSession) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, sessionMembers)
	dst = msgp.AppendString(msgp.AppendString(dst, "token"), s.Token)
	dst = msgp.AppendString(msgp.AppendString(dst, "sid"), s.ID)
	dst = msgp.AppendString(msgp.AppendString(dst, "pid"), s.RecoveryID)
	dst = appendNames(msgp.AppendString(dst, "rooms"), s.Rooms)
	dst = msgp.AppendString(dst, "data")
	if value := first(s.Data); value == nil || string(value) == "null" {
		dst = msgp.AppendMapHeader(dst, 0) // where Node.js has an object
	} else {
		var err error
		if dst, err = msgpack.Append(dst, value, s.Data.Attachments); err != nil {
			return dst, err
		}
	}
	dst = msgp.AppendString(msgp.AppendString(dst, "nsp"), s.Namespace)
	dst = msgp.AppendString(msgp.AppendString(dst, "last"), s.Last)
	upto := ""
	if s.Upto != (hub.Place{}) {
		upto = s.Upto.String()
	}
	dst = msgp.AppendString(msgp.AppendString(dst, "upto"), upto)
	return dst, nil
}

var errSession = errors.New("not a session")

// readSession reads what Node.js or another Greenroom node has saved.
func readSession(body string) (*hub.SavedSession, error) {
	b, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSession, err)
	}
	var s hub.SavedSession
	text := func(src []byte, into *string) (rest []byte, err error) {
		*into, rest, err = msgp.ReadStringBytes(src)
		return rest, err
	}
	upto := ""
	rest, err := readMap(b, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "token":
			return text(src, &s.Token)
		case "sid":
			return text(src, &s.ID)
		case "pid":
			return text(src, &s.RecoveryID)
		case "rooms":
			s.Rooms, rest, err = readNames(src, "")
			return rest, err
		case "data":
			s.Data, rest, err = readAnswer(src)
			return rest, err
		case "nsp":
			return text(src, &s.Namespace)
		case "last":
			return text(src, &s.Last)
		case "upto":
			return text(src, &upto)
		}
		return msgpack.Skip(src)
	})
	ok := true
	if upto != "" {
		s.Upto, ok = hub.ParsePlace(upto)
	}
	if err != nil || !ok || len(rest) > 0 || s.ID == "" || s.Token != "" && len(s.Token) != tokenBytes {
		return nil, errSession
	}
	return &s, nil
}

// tokenPrefix is how the texts of a token's owner begin.
func tokenPrefix(token string) string {
	b := msgp.AppendMapHeader(nil, sessionMembers)
	b = msgp.AppendString(msgp.AppendString(b, "token"), token)
	return base64.StdEncoding.EncodeToString(b)[:tokenText]
}

// Save implements [hub.Sequencer].
func (s *streams) Save(st *hub.SavedSession) {
	body, err := appendSession(nil, st)
	if err != nil {
		s.l.count(reasonBadSession)
		return
	}
	text := base64.StdEncoding.EncodeToString(body)
	key := s.a.opts.sessions() + st.RecoveryID
	c := command{key: key, size: len(text) + len(key), keep: st.For, done: s.saved}
	if st.New {
		c.cmd = goredis.NewStatusCmd(s.ctx, "SET", key, text, "PX", st.For.Milliseconds())
	} else {
		c.cmd = goredis.NewCmd(s.ctx, "EVAL", saveScript, 1, key, tokenPrefix(st.Token), text, st.For.Milliseconds())
	}
	s.l.enqueue(c)
}

func (s *streams) saved(cmd goredis.Cmder) {
	if cmd.Err() != nil {
		s.l.count(reasonSessionLost)
		return
	}
	if c, ok := cmd.(*goredis.Cmd); ok {
		if n, _ := c.Int(); n == 0 {
			s.l.count(reasonSessionTaken)
		}
	}
}

// Forget implements [hub.Sequencer].
func (s *streams) Forget(pid, token string) {
	key := s.a.opts.sessions() + pid
	s.l.enqueue(command{
		cmd: goredis.NewCmd(s.ctx, "EVAL", forgetScript, 1, key, tokenPrefix(token)), key: key, size: len(key) + len(forgetScript),
		keep: time.Minute,
	})
}

// maxPid bounds what clients give as the id of an earlier session.
const maxPid = 64

// Claim implements [hub.Sequencer]. Node.js does it with MULTI, GET and DEL, which is the same.
func (s *streams) Claim(pid string, fn func(*hub.SavedSession, error)) {
	switch err := s.ready(); {
	case len(pid) > maxPid:
		fn(nil, nil)
		return
	case err != nil:
		fn(nil, err)
		return
	}
	key := s.a.opts.sessions() + pid
	s.l.enqueue(command{
		cmd: goredis.NewStringCmd(s.ctx, "GETDEL", key), key: key, size: len(key),
		done: func(cmd goredis.Cmder) {
			text, err := cmd.(*goredis.StringCmd).Result()
			switch {
			case errors.Is(err, goredis.Nil):
				fn(nil, nil)
				return
			case err != nil:
				fn(nil, err)
				return
			}
			st, err := readSession(text)
			if err != nil {
				s.l.count(reasonBadSession)
				fn(nil, nil)
				return
			}
			st.RecoveryID = pid
			fn(st, nil)
		},
	})
}
