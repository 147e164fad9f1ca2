package main

import (
	"slices"
	"strings"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq"
)

// requestFlags are those of the endpoints that answer: control, and workers.
type requestFlags struct {
	ZmqControl string `default:"tcp://127.0.0.1:5563" help:"ZeroMQ ROUTER endpoint: REQ and DEALER sockets ask here, to publish with confirmation, list, kick and more. 'off' for none."`
	ZmqWorkers string `default:"tcp://127.0.0.1:5564" help:"ZeroMQ ROUTER endpoint: workers connect here and handle clients' events, see --workers. 'off' for none."`

	Workers        []string      `placeholder:"NAMESPACE" help:"Namespace whose clients are served by workers and not by the built-in handler: '/' or '/chat'. Repeatable."`
	WorkersAuth    bool          `help:"Let no client into these namespaces that a worker has not accepted."`
	WorkerWait     time.Duration `default:"1s" help:"How long an event, or a client that connects, waits for a worker when there is none."`
	WorkerTimeout  time.Duration `default:"30s" help:"How long a worker may take for an event."`
	MaxWorkerQueue int           `default:"10000" help:"Most events that wait for workers."`
	ControlRate    int           `default:"20000" help:"Requests a second that one peer of --zmq-control may send."`
}

// endpoints are the flags with addresses.
func (f *requestFlags) endpoints() []endpointFlag {
	const want = "tcp://host:port or ipc:///path"
	return []endpointFlag{{"--zmq-control", f.ZmqControl, want}, {"--zmq-workers", f.ZmqWorkers, want}}
}

// endpointFlag is a flag with an address, and what it should look like.
type endpointFlag struct{ flag, addr, want string }

func (f *requestFlags) check() error {
	for _, ns := range f.Workers {
		if len(ns) == 0 || ns[0] != '/' || strings.Contains(ns, ",") {
			return misuse("--workers %q is no namespace: it starts with /", ns)
		}
	}
	switch {
	case len(f.Workers) > 0 && f.ZmqWorkers == off:
		return misuse("--workers needs --zmq-workers, which is off")
	case f.WorkersAuth && len(f.Workers) == 0:
		return misuse("--workers-auth is for the namespaces of --workers, and there are none")
	case f.WorkerWait < 0 || f.WorkerTimeout <= 0 || f.MaxWorkerQueue <= 0 || f.ControlRate <= 0:
		return misuse("--worker-timeout, --max-worker-queue and --control-rate are above 0, --worker-wait is not below")
	}
	return nil
}

func (f *requestFlags) on() bool { return f.ZmqControl != off || f.ZmqWorkers != off }

// apply sets the options of the two endpoints.
func (f *requestFlags) apply(o *zeromq.Options) {
	o.Control, o.Workers, o.ControlRate = endpoint(f.ZmqControl), endpoint(f.ZmqWorkers), f.ControlRate
	o.Work = zeromq.WorkOptions{Wait: f.WorkerWait, Timeout: f.WorkerTimeout, MaxQueue: f.MaxWorkerQueue, Auth: f.WorkersAuth,
		Namespaces: append([]string{}, f.Workers...)} // not nil: without the flag there are none
	if f.WorkerWait == 0 {
		o.Work.Wait = -1
	}
}

// relays reports whether the built-in handler serves "/".
func (f *requestFlags) relays() bool { return !slices.Contains(f.Workers, "/") }

// mount has the workers serve their namespaces.
func (f *requestFlags) mount(h *hub.Hub, w *zeromq.Workers) error {
	for i, ns := range f.Workers {
		if slices.Contains(f.Workers[:i], ns) {
			continue
		}
		h.Of(ns).Use(w.Admit)
		if err := h.Handle(ns, w.Serve); err != nil {
			return err
		}
	}
	return nil
}
