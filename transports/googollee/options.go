package googollee

import (
	"net/http"
	"time"

	goengineio "github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/engineio/session"
	"github.com/googollee/go-socket.io/engineio/transport"
	"github.com/googollee/go-socket.io/engineio/transport/polling"
	"github.com/googollee/go-socket.io/engineio/transport/websocket"

	"greenroom/transports/engineio"
)

// The library's defaults.
const (
	defaultPingInterval = 20 * time.Second
	defaultPingTimeout  = time.Minute
)

// engineOptions puts opts on top of o.
func engineOptions(opts *goengineio.Options, o engineio.Options) engineio.Options {
	o.Path = "/" // wherever the program has mounted us
	o.AllowEIO3 = true
	if o.PingInterval == 0 {
		o.PingInterval = defaultPingInterval
	}
	if o.PingTimeout == 0 {
		o.PingTimeout = defaultPingTimeout
	}
	if opts == nil {
		return o
	}
	if opts.PingInterval > 0 {
		o.PingInterval = opts.PingInterval
	}
	if opts.PingTimeout > 0 {
		o.PingTimeout = opts.PingTimeout
	}
	if len(opts.Transports) > 0 {
		o.Transports = nil
		for _, t := range opts.Transports {
			o.Transports = append(o.Transports, engineio.Transport(t.Name()))
		}
	}
	if g := opts.SessionIDGenerator; g != nil {
		if _, counter := g.(*session.DefaultIDGenerator); !counter { // whose ids anybody can guess
			o.GenerateID = func(*http.Request) (string, error) { return g.NewID(), nil }
		}
	}
	if check := opts.RequestChecker; check != nil {
		o.AllowRequest = func(r *http.Request, h http.Header) error {
			header, err := check(r)
			for name, values := range header {
				h[name] = values
			}
			return err
		}
	}
	if checks := originChecks(opts.Transports); len(checks) > 0 {
		o.CORS.Credentials = true
		o.CORS.AllowOrigin = func(r *http.Request, _ string) bool {
			names := r.URL.Query()["transport"] // of which the last counts
			if len(names) == 0 {
				return false
			}
			check := checks[names[len(names)-1]]
			return check != nil && check(r)
		}
	}
	return o
}

// originChecks are the CheckOrigin functions by transport.
func originChecks(transports []transport.Transport) map[string]func(*http.Request) bool {
	checks := make(map[string]func(*http.Request) bool)
	for _, t := range transports {
		switch t := t.(type) {
		case *polling.Transport:
			if t.CheckOrigin != nil {
				checks[t.Name()] = t.CheckOrigin
			}
		case *websocket.Transport:
			if t.CheckOrigin != nil {
				checks[t.Name()] = t.CheckOrigin
			}
		}
	}
	return checks
}
