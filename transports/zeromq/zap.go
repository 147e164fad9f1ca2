package zeromq

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// zapVersion is the first frame of requests and replies (RFC 27).
const zapVersion = "1.0"

// askZAP is the [Authenticator] that asks Security.ZAP. Each request has a connection of its own: handshakes are rare
// and limited, and a handler that was restarted is simply found again.
func (s *security) askZAP(ctx context.Context, r AuthRequest) (Principal, error) {
	who, err := zapRequest(ctx, s.opts.ZAP, r)
	if err != nil && !errors.Is(err, ErrDenied) {
		err = fmt.Errorf("asking the ZAP handler: %w", err)
	}
	return who, err
}

func zapRequest(ctx context.Context, endpoint string, r AuthRequest) (who Principal, err error) {
	c, err := connect(ctx, endpoint, zmq4.Req)
	if err != nil {
		return who, err
	}
	defer c.close()
	stop := context.AfterFunc(ctx, func() { c.guard.Fail(ctx.Err()) })
	defer stop()
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return who, err
	}
	id := []byte(hex.EncodeToString(random[:]))
	frames := [][]byte{nil, []byte(zapVersion), id, []byte(r.Domain), []byte(r.Address), []byte(r.Identity), []byte(r.Mechanism)}
	switch r.Mechanism {
	case "PLAIN":
		frames = append(frames, []byte(r.User), []byte(r.Password))
	case "CURVE":
		frames = append(frames, r.Key[:])
	}
	if err := c.conn.SendMsg(zmq4.NewMsgFrom(frames...)); err != nil {
		return who, err
	}
	msg, err := c.conn.RecvMsg()
	if err != nil {
		if own := c.guard.Err(); own != nil {
			err = own
		}
		return who, err
	}
	return zapReply(msg.Frames, id)
}

// zapReply reads [empty, version, id, status, text, user, metadata].
func zapReply(frames [][]byte, id []byte) (who Principal, err error) {
	if len(frames) != 7 || len(frames[0]) > 0 || string(frames[1]) != zapVersion || !bytes.Equal(frames[2], id) {
		return who, fmt.Errorf("%d frames that are no reply to the request", len(frames))
	}
	status, text, user := string(frames[3]), string(frames[4]), string(frames[5])
	switch status {
	case "200":
	case "400":
		return who, fmt.Errorf("%w: the ZAP handler says %.200q", ErrDenied, text)
	default:
		return who, fmt.Errorf("status %.16q, %.200q", status, text)
	}
	if len(user) > 255 || !printable(user) {
		return who, errors.New("a user id that is too long or not printable")
	}
	props, err := guard.Properties(frames[6])
	if err != nil {
		return who, fmt.Errorf("metadata: %w", err)
	}
	p, err := permissions(func(k string) string {
		if k == "user" {
			return user
		}
		return props["x-"+k]
	}, "")
	if err != nil {
		return who, fmt.Errorf("metadata: %w", err)
	}
	return *p, nil
}
