package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"greenroom/transports/zeromq"
)

// anyKey as --zmq-allow lets every key in.
const anyKey = "any"

// zmqFlags say who is let in at the ZeroMQ endpoints.
type zmqFlags struct {
	CurveKey   string            `name:"zmq-curve-key" placeholder:"FILE" help:"The server's secret key, a .key_secret file of 'greenroom keys' or pyzmq: the ZeroMQ endpoints then speak CURVE, and may be reached from other machines."`
	Allow      string            `name:"zmq-allow" placeholder:"DIR" help:"Directory with the .key files of those whom CURVE lets in, and their permissions; 'any' for every key. It is looked at every 2 s, and at SIGHUP."`
	Plain      string            `name:"zmq-plain" placeholder:"FILE" help:"File with users, passwords and permissions: the ZeroMQ endpoints then speak PLAIN, which protects nothing on its way. Looked at like --zmq-allow."`
	ZAP        string            `name:"zmq-zap" placeholder:"ENDPOINT" help:"A ZAP handler (RFC 27) that decides whom to let in, in place of --zmq-allow."`
	AllowFrom  []string          `name:"zmq-allow-from" placeholder:"ADDRESS" help:"Address or network from which ZeroMQ peers may come. Repeatable. Default all."`
	Handshakes int               `name:"zmq-handshake-rate" default:"250" help:"Most CURVE handshakes in a second; each costs 0.4 ms."`
	ServerKey  map[string]string `name:"zmq-server-key" placeholder:"ENDPOINT=FILE" help:"The .key file of a publisher of --zmq-connect that speaks CURVE. Repeatable."`
	ServerUser map[string]string `name:"zmq-server-user" placeholder:"ENDPOINT=FILE" help:"File with the user and password for a publisher of --zmq-connect that speaks PLAIN, in the form of --zmq-plain. Repeatable."`
}

// secure reports whether the endpoints may be reached from other machines.
func (c *zmqFlags) secure() bool { return c.CurveKey != "" }

// check is told the publishers of --zmq-connect.
func (c *zmqFlags) check(publishers []string) error {
	deciders := 0
	for _, f := range []string{c.Allow, c.Plain, c.ZAP} {
		if f != "" {
			deciders++
		}
	}
	switch {
	case deciders > 1:
		return misuse("of --zmq-allow, --zmq-plain and --zmq-zap one decides who is let in")
	case c.CurveKey != "" && c.Plain != "":
		return misuse("--zmq-curve-key and --zmq-plain are two mechanisms: the endpoints speak one")
	case c.CurveKey != "" && deciders == 0:
		return misuse("--zmq-curve-key needs --zmq-allow DIR with the keys of those who are let in, --zmq-zap, or --zmq-allow any")
	case c.CurveKey == "" && c.Allow != "":
		return misuse("--zmq-allow is for CURVE, which needs --zmq-curve-key")
	case c.Handshakes < 1:
		return misuse("--zmq-handshake-rate %d: want 1 or more", c.Handshakes)
	}
	for flag, of := range map[string]map[string]string{"--zmq-server-key": c.ServerKey, "--zmq-server-user": c.ServerUser} {
		for endpoint := range of {
			if !slices.Contains(publishers, endpoint) {
				return misuse("%s %s: there is no --zmq-connect %s", flag, endpoint, endpoint)
			}
		}
	}
	return nil
}

// security is what the bridge takes.
func (c *zmqFlags) security() (zeromq.Security, error) {
	s := zeromq.Security{
		CurveKeyFile: c.CurveKey, PlainFile: c.Plain, ZAP: c.ZAP, AllowFrom: c.AllowFrom,
		AllowAny: c.Allow == anyKey, HandshakesPerSecond: c.Handshakes,
	}
	if c.Allow != anyKey {
		s.AllowDir = c.Allow
	}
	for endpoint, file := range c.ServerKey {
		k, err := publicKey(file)
		if err != nil {
			return s, fmt.Errorf("--zmq-server-key: %w", err)
		}
		if s.ServerKeys == nil {
			s.ServerKeys = make(map[string]zeromq.PublicKey)
		}
		s.ServerKeys[endpoint] = k
	}
	for endpoint, file := range c.ServerUser {
		u, err := zeromq.ReadPlainUser(file)
		if err != nil {
			return s, fmt.Errorf("--zmq-server-user: %w", err)
		}
		if s.ServerUsers == nil {
			s.ServerUsers = make(map[string]zeromq.PlainUser)
		}
		s.ServerUsers[endpoint] = u
	}
	return s, nil
}

// reloads reports whether there are files to read again.
func (c *zmqFlags) reloads() bool { return c.Plain != "" || c.Allow != "" && c.Allow != anyKey }

// atHangup calls fn whenever the process gets a SIGHUP, until the server stops.
func (s *server) atHangup(fn func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	s.background.Go(func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-hangup:
				fn()
			case <-s.quit:
				return
			}
		}
	})
}

// peerFlags are how a tool proves itself to a ZeroMQ endpoint, and knows it.
type peerFlags struct {
	ServerKey string `placeholder:"KEY" help:"The endpoint's public key, for CURVE: 40 letters, or a .key file."`
	Key       string `placeholder:"FILE" help:"Own .key_secret file to show to --server-key. Default a new key, which is enough where every key is let in."`
	User      string `placeholder:"NAME" help:"User, for an endpoint that speaks PLAIN."`
	Password  string `placeholder:"TEXT" help:"Password of --user; better in the environment, as GREENROOM_PASSWORD."`
}

var errPeerFlags = misuse("--server-key, --key, --user and --password are for ZeroMQ endpoints")

func (c *peerFlags) used() bool {
	return c.ServerKey != "" || c.Key != "" || c.User != "" || c.Password != ""
}

func (c *peerFlags) dialer() (d zeromq.Dialer, err error) {
	switch {
	case c.Key != "" && c.ServerKey == "":
		return d, misuse("--key is for CURVE, which needs the endpoint's --server-key")
	case c.Password != "" && c.User == "":
		return d, misuse("--password needs --user")
	case c.User != "" && c.ServerKey != "":
		return d, misuse("--user is for PLAIN, --server-key for CURVE: an endpoint speaks one")
	}
	d.User, d.Password = c.User, c.Password
	if c.ServerKey != "" {
		if d.ServerKey, err = publicKey(c.ServerKey); err != nil {
			return d, fmt.Errorf("--server-key: %w", err)
		}
	}
	if c.Key != "" {
		cert, err := zeromq.ReadCertificate(c.Key)
		if err == nil && cert.Secret.IsZero() {
			err = fmt.Errorf("%s holds no secret-key: want the .key_secret file", c.Key)
		}
		if err != nil {
			return d, fmt.Errorf("--key: %w", err)
		}
		d.Key = cert.Secret
	}
	return d, nil
}

// publicKey is a key in Z85, or that of a file.
func publicKey(s string) (zeromq.PublicKey, error) {
	if k, err := zeromq.ParsePublicKey(s); err == nil {
		return k, nil
	}
	cert, err := zeromq.ReadCertificate(s)
	if os.IsNotExist(err) {
		return zeromq.PublicKey{}, fmt.Errorf("%q is neither a key of 40 letters nor a file", s)
	}
	return cert.Public, err
}

type zmqCmd struct {
	Doctor doctorCmd `cmd:"" help:"Connect to a ZeroMQ endpoint and say in plain words what is wrong with it."`
}

type doctorCmd struct {
	peerFlags `embed:""`
	As        string        `default:"auto" enum:"auto,push,pull,pub,sub,req,rep,dealer,router,pair" help:"Socket type to connect with: ${enum}. auto tries those that could fit."`
	Topic     string        `help:"With sub: the topics to wait for, by prefix."`
	Wait      time.Duration `default:"3s" help:"How long to wait for each answer."`
	Endpoint  string        `arg:"" help:"tcp://host:port or ipc:///path"`
}

// Run prints what was found, one sentence a line.
func (c *doctorCmd) Run(ctx context.Context, std *streams) error {
	d, err := c.dialer()
	if err != nil {
		return err
	}
	if c.Wait <= 0 {
		return misuse("--wait %v: want more than 0", c.Wait)
	}
	as := strings.ToUpper(c.As)
	if c.As == "auto" {
		as = ""
	}
	report := zeromq.Diagnose(ctx, c.Endpoint, zeromq.Examination{Dialer: d, As: as, Topic: c.Topic, Wait: c.Wait})
	for _, f := range report.Findings {
		mark := "ok   "
		if f.Bad {
			mark = "BAD  "
		}
		if _, err := fmt.Fprintln(std.out, mark, f.Text); err != nil {
			return err
		}
	}
	if report.Well() {
		return nil
	}
	return fmt.Errorf("%s is not well", c.Endpoint)
}
