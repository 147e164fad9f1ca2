package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Report is what [Diagnose] has found, in order.
type Report struct{ Findings []Finding }

// Finding is one sentence. Bad ones need somebody to do something.
type Finding struct {
	Text string
	Bad  bool
}

// Well reports whether nothing bad was found.
func (r Report) Well() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Bad })
}

// Diagnose connects to the Redis of the options and says in plain words what keeps an [Adapter] from working there. It
// changes nothing: it publishes on a channel of its own, and tries commands that write in a form that Redis refuses
// for another reason than that they are forbidden.
func Diagnose(ctx context.Context, o Options) Report {
	if o.Adapter == "" {
		o.Adapter = Classic
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	d := &doctor{o: o, ctx: ctx}
	d.examine()
	return d.report
}

type doctor struct {
	o      Options
	ctx    context.Context
	topo   topology
	kind   locationKind
	report Report
}

func (d *doctor) well(format string, args ...any) {
	d.report.Findings = append(d.report.Findings, Finding{Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) bad(format string, args ...any) {
	d.report.Findings = append(d.report.Findings, Finding{Text: fmt.Sprintf(format, args...), Bad: true})
}

func (d *doctor) examine() {
	var err error
	if d.topo, err = newTopology(d.o); err != nil {
		d.bad("%s.", strings.TrimPrefix(err.Error(), "redis: "))
		return
	}
	defer d.topo.close()
	if at, err := parseURL(d.o.URL); err == nil {
		d.kind = at.kind
		if at.kind == atSentinels && !d.sentinels(at) {
			return
		}
	}
	client := d.topo.node("")
	if err := client.Ping(d.ctx).Err(); err != nil {
		d.unreachable(err)
		return
	}
	d.well("It answers.")
	d.server(client)
	d.may(client)
	d.hears()
}

// sentinels asks each Sentinel for the master.
func (d *doctor) sentinels(at location) bool {
	known := false
	for _, addr := range at.addrs {
		opt := &goredis.Options{Addr: addr, Username: d.o.SentinelUser, Password: d.o.SentinelPassword}
		if at.tls {
			secure := new(tls.Config)
			if d.o.TLS != nil {
				secure = d.o.TLS
			}
			dials := newDialer(d.o.Timeout, secure, d.o.Authorities)
			defer dials.end()
			opt.Dialer = dials.dial
		}
		quiet(opt, d.o.Timeout)
		s := goredis.NewSentinelClient(opt)
		master, err := s.GetMasterAddrByName(d.ctx, at.master).Result()
		_ = s.Close()
		switch {
		case err == nil:
			known = true
			d.well("The Sentinel %s says that the master %q is %s.", addr, at.master, net.JoinHostPort(master[0], master[1]))
		case errors.Is(err, goredis.Nil):
			d.bad("The Sentinel %s knows no master called %q: SENTINEL MASTERS lists their names.", addr, at.master)
		case code(err) == "NOAUTH" || code(err) == "WRONGPASS":
			d.bad("The Sentinel %s wants a user or password of its own, or another one: %v.", addr, err)
		case code(err) == "ERR":
			d.bad("%s is no Sentinel, it says: %v.", addr, err)
		default:
			d.bad("The Sentinel %s does not answer: %v.", addr, err)
		}
	}
	return known
}

// unreachable says why there is no answer.
func (d *doctor) unreachable(err error) {
	var timeout net.Error
	var record tls.RecordHeaderError
	switch {
	case code(err) == "WRONGPASS":
		d.bad("It refuses the user or the password.")
	case code(err) == "NOAUTH":
		d.bad("It wants a password, and was given none.")
	case code(err) == "LOADING":
		d.bad("It is loading its data, and answers when that is done.")
	case code(err) == "NOPERM":
		d.bad("The user may not even use PING: %v.", err)
	case code(err) == "DENIED":
		d.bad("It is in protected mode: it has no password, and answers its own machine only.")
	case errors.As(err, &record):
		d.bad("It does not speak TLS: write redis:// instead of rediss://.")
	case strings.Contains(err.Error(), "x509") || strings.Contains(err.Error(), "tls:"):
		d.bad("TLS fails: %v.", err)
	case strings.Contains(err.Error(), "connection refused"):
		d.bad("Nobody listens there: %v.", err)
	case errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded):
		d.bad("There is no answer within %v: the address may be wrong, a firewall may be between, Redis may hang, or one side speaks TLS and the other does not.", d.o.Timeout)
	default:
		d.bad("It cannot be used: %v. If it speaks TLS, write rediss:// instead of redis://.", err)
	}
}

// server looks at what kind of server it is.
func (d *doctor) server(client *goredis.Client) {
	info, err := client.Info(d.ctx, "server").Result()
	replication, err2 := client.Info(d.ctx, "replication").Result()
	if err = errors.Join(err, err2); err != nil {
		d.well("Its version and role are not known, since INFO is not allowed: %v.", err)
		return
	}
	version := field(info, "redis_version")
	switch major, rest, _ := strings.Cut(version, "."); {
	case d.o.Adapter == Sharded && atoi(major) < 7:
		d.bad("Its version is %s: the sharded adapter needs 7.0.", version)
	case d.o.Adapter == Streams && (atoi(major) < 6 || atoi(major) == 6 && atoi(strings.Split(rest, ".")[0]) < 2):
		d.bad("Its version is %s: the streams adapter needs 6.2.", version)
	default:
		d.well("Its version is %s.", version)
	}
	switch mode := field(info, "redis_mode"); {
	case mode == "sentinel":
		d.bad("It is a Sentinel: write redis+sentinel://host:port/master.")
	case mode == "cluster" && d.kind != atCluster:
		d.bad("It is a node of a Redis Cluster: write redis+cluster://host:port.")
	case mode == "standalone" && d.kind == atCluster:
		d.bad("It is a server by itself, and no Redis Cluster: write redis://host:port.")
	case field(replication, "role") == "slave" && d.kind != atCluster:
		d.bad("It is a replica of %s: what is published here is not heard there, and nothing can be written.", field(replication, "master_host"))
	}
	if d.kind == atCluster {
		if err := d.topo.load(d.ctx); err != nil {
			d.bad("The Cluster does not say who has which slots: %v.", err)
		}
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// field is a value of INFO.
func field(info, name string) string {
	for _, line := range strings.Split(info, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return value
		}
	}
	return ""
}

// may tries the commands of the adapter as its user.
func (d *doctor) may(client *goredis.Client) {
	channel := d.o.Prefix + "#/doctor#"
	commands := [][]any{{"PUBLISH", channel, ""}, {"PUBSUB", "NUMSUB", channel}}
	switch d.o.Adapter {
	case Sharded:
		commands = append(commands, []any{"SPUBLISH", channel, ""}, []any{"PUBSUB", "SHARDNUMSUB", channel})
	case Streams:
		commands = append(commands,
			[]any{"XADD", d.o.Prefix, "no-id", "a", "b"}, []any{"XRANGE", d.o.Prefix, "0-1", "0-1"},
			[]any{"SET", "sio:session:doctor", "", "PX", "-1"}, []any{"GET", "sio:session:doctor"}, []any{"DEL", "sio:session:doctor"})
	}
	bad := 0
	for _, c := range commands {
		switch err := client.Do(d.ctx, c...).Err(); code(err) {
		case "NOPERM":
			bad++
			d.bad("The user may not use %v %v: %v.", c[0], c[1], err)
		case "OOM", "READONLY", "MISCONF", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS":
			bad++
			d.bad("It refuses %v: %v.", c[0], err)
		}
	}
	if bad == 0 {
		d.well("The adapter's commands are allowed.")
	}
}

// hears publishes something and waits for it, as an adapter would.
func (d *doctor) hears() {
	heard := make(chan struct{}, 1)
	l := newLink(d.topo, linkOptions{timeout: d.o.Timeout, clientName: "greenroom-doctor"}, slog.New(slog.DiscardHandler), func(string) {},
		func(_ string, body []byte) {
			if len(body) == len("doctor") { // nobody else publishes there
				select {
				case heard <- struct{}{}:
				default:
				}
			}
		})
	defer l.close()
	kind, channel := subPattern, d.o.Prefix+"#/doctor#*"
	if d.o.Adapter == Sharded {
		kind, channel = subShard, d.o.Prefix+"#/doctor#"
	}
	l.subscribe(kind, channel)
	ctx, cancel := context.WithTimeout(d.ctx, d.o.Timeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for l.ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.bad("It does not let us subscribe: %s.", strings.TrimPrefix(l.ready().Error(), "redis: "))
			return
		}
	}
	l.publish(d.o.Adapter == Sharded, d.o.Prefix+"#/doctor#", []byte("doctor"))
	select {
	case <-heard:
		d.well("What is published is heard.")
	case <-ctx.Done():
		d.bad("What is published is not heard.")
	}
}
