package hub

import (
	"strings"
	"unicode/utf8"
)

// userRoom is the room of all sessions of one user: so that a user is addressed, on all nodes, as a room is, and
// a session that is recovered is still its user's.
const userRoom = "$user:"

// maxUser is the longest user, in bytes: what a room's name leaves.
const maxUser = maxRoomName - len(userRoom)

// CheckUser says why name cannot be a user: it must be 1 to 249 bytes of UTF-8 without control characters.
func CheckUser(name string) error {
	if name == "" || len(name) > maxUser || !utf8.ValidString(name) || strings.ContainsFunc(name, control) {
		return refusal("bad_user", "a user is 1 to %d bytes of UTF-8 without control characters", maxUser)
	}
	return nil
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// Identify says whose session it is, once that is verified: a middleware is the place for it. [Namespace.User]
// then addresses the session, and `from` of what it publishes through [Relay] names the user. A second call
// replaces the first.
func (s *Session) Identify(user string) error {
	if err := CheckUser(user); err != nil {
		return err
	}
	if !s.Connected() {
		return ErrGone
	}
	if old := s.User(); old == user {
		return nil
	} else if old != "" {
		s.Leave(userRoom + old)
	}
	r, _ := s.lockedIn(userRoom + user)
	r.mu.Unlock()
	return nil
}

// User is whose session it is, as [Session.Identify] was told; "" when nobody has said so.
func (s *Session) User() string {
	if s.gone.IsSet() {
		for _, room := range s.past.rooms {
			if user, ok := strings.CutPrefix(room, userRoom); ok {
				return user
			}
		}
		return ""
	}
	for _, m := range s.rooms {
		if user, ok := strings.CutPrefix(m.room.name, userRoom); ok {
			return user
		}
	}
	return ""
}

// User addresses all sessions of a user in the namespace, see [Session.Identify].
func (ns *Namespace) User(user string) Target { return ns.To(userRoom + user) }

// User is whose session it is, see [Session.Identify].
func (s Snapshot) User() string {
	for _, room := range s.Rooms {
		if user, ok := strings.CutPrefix(room, userRoom); ok {
			return user
		}
	}
	return ""
}
