package engineio

import (
	"strconv"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// maxWindowBits is the size of the window that frames are compressed with, as
// a power of two. They are shared by all receivers, so it cannot be smaller for
// one of them.
const maxWindowBits = 15

// extension negotiates permessage-deflate (RFC 7692, section 7.1) for one
// WebSocket.
type extension struct{ accepted bool }

// negotiate is called for each offer in the client's order, and answers the
// first one that can be met. Others are declined, which is no error: the client
// may have offered something else as well, and otherwise goes on without.
func (e *extension) negotiate(offer httphead.Option) (accept httphead.Option, err error) {
	if e.accepted || string(offer.Name) != wsflate.ExtensionName {
		return httphead.Option{}, nil
	}
	bits, ok := checkOffer(offer)
	if !ok {
		return httphead.Option{}, nil
	}
	e.accepted = true
	return wsflate.Parameters{
		ServerNoContextTakeover: true,
		ClientNoContextTakeover: true,
		ServerMaxWindowBits:     bits,
	}.Option(), nil
}

// checkOffer checks an offer's parameters, and reports which size of our window
// the answer must name, if any. A limit for the client's own window, which only
// says that the client would keep to one, can stay unanswered.
func checkOffer(offer httphead.Option) (server wsflate.WindowBits, ok bool) {
	seen := make(map[string]bool)
	ok = true
	offer.Parameters.ForEach(func(k, v []byte) bool {
		name, value := string(k), string(v)
		bits, isBits := windowBits(value)
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			ok = value == ""
		case "client_max_window_bits":
			ok = value == "" || isBits
		case "server_max_window_bits":
			server, ok = bits, isBits && bits == maxWindowBits
		default:
			ok = false
		}
		ok = ok && !seen[name]
		seen[name] = true
		return ok
	})
	return server, ok
}

// windowBits reads a number from 8 to 15, without leading zeros.
func windowBits(s string) (wsflate.WindowBits, bool) {
	n, err := strconv.Atoi(s)
	return wsflate.WindowBits(n), err == nil && n >= 8 && n <= 15 && s == strconv.Itoa(n)
}
