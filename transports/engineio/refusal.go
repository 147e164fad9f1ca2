package engineio

import (
	"encoding/binary"
	"strings"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// CloseStatus is the status of a WebSocket's close frame (RFC 6455, section 7.4.1).
type CloseStatus uint16

// The statuses that this server uses.
const (
	StatusProtocolError CloseStatus = CloseStatus(ws.StatusProtocolError)           // what came makes no sense
	StatusInvalidData   CloseStatus = CloseStatus(ws.StatusInvalidFramePayloadData) // text that is not UTF-8
	StatusPolicy        CloseStatus = CloseStatus(ws.StatusPolicyViolation)         // a limit of number or time
	StatusTooBig        CloseStatus = CloseStatus(ws.StatusMessageTooBig)
)

// Refusal is why a session ends over something that its client did, or did not do. Make one for each
// such thing, as a package-level variable.
type Refusal struct {
	Counter string // its name in the hub's counters and in the log; "" when it was counted already
	Reason  string // what OnClose is told
	Status  CloseStatus
	Text    string // for the client's developer: a few words, at most 123 bytes
}

// What ends sessions in this layer.
var (
	refuseBadPacket = &Refusal{"engineio_bad_packet", ReasonParseError, StatusProtocolError, "not an Engine.IO packet"}
	refusePing      = &Refusal{"engineio_ping_from_client", ReasonTransportError, StatusProtocolError, "only the server sends pings"}
	refusePong      = &Refusal{"engineio_pong_from_client", ReasonTransportError, StatusProtocolError, "only the server sends pongs"}
	refuseSilence   = &Refusal{"engineio_ping_timeout", ReasonPingTimeout, StatusPolicy, "ping timeout"}
	refusePending   = &Refusal{"engineio_pending_evicted", ReasonForcedClose, StatusPolicy, "too many clients that say nothing"}
	refuseSlow      = &Refusal{"", ReasonTransportError, StatusPolicy, "slow consumer"} // the outbox has counted it
)

// Refuse is [Socket.Close] over something that the client did: it is counted, logged at debug level, and a
// WebSocket client is told by the status and reason of its close frame. Official clients show these as
// details of the same "transport close" that a close without them is.
func (s *Socket) Refuse(r *Refusal) {
	s.refused(r)
	s.end(r.Reason, ending{frame: r.frame(), poll: pollClose, remember: true, later: true})
}

// refuse ends the session at once.
func (s *Socket) refuse(r *Refusal) {
	s.refused(r)
	s.end(r.Reason, ending{frame: r.frame(), poll: pollClose})
}

func (s *Socket) refused(r *Refusal) {
	if r.Counter != "" {
		s.srv.hub.Count(r.Counter)
	}
	s.srv.log.Debug("a session was refused", "counter", r.Counter, "reason", r.Text, "remote", s.request.RemoteAddr)
}

func (r *Refusal) frame() *hub.Frame { return rawFrame(closeFrame(r.Status, r.Text)) }

// maxCloseText is what a control frame holds behind the status.
const maxCloseText = 123

// closeFrame is a close frame with a status and a reason.
func closeFrame(status CloseStatus, text string) []byte {
	if len(text) > maxCloseText {
		text = strings.ToValidUTF8(text[:maxCloseText], "")
	}
	b := appendFrameHeader(make([]byte, 0, 4+len(text)), ws.OpClose, 2+len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(status))
	return append(b, text...)
}

// dropped counts and logs what is refused and is no session yet, or goes on. Any goroutine.
func (srv *Server) dropped(counter, detail, remote string) {
	srv.hub.Count(counter)
	srv.log.Debug("refused", "counter", counter, "reason", detail, "remote", remote)
}
