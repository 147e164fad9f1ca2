package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
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
// changes nothing: it publishes to a room of its own, and tries commands that write on keys of its own, which are gone
// afterwards, or in a form that Redis refuses for another reason than that they are forbidden.
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
	d := &doctor{o: o, ctx: ctx, lacks: make(map[string]bool), refuses: make(map[string]bool), room: "doctor-" + hub.NewID()}
	d.examine()
	return d.report
}

type doctor struct {
	o      Options
	ctx    context.Context
	topo   topology
	kind   locationKind
	report Report
	lacks  map[string]bool // rules of the ACL that were found missing
	room   string          // in which nobody is

	refuses map[string]bool // for reasons that were told
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
	if !d.server(client) {
		return
	}
	if c, ok := d.topo.(*cluster); ok { // each has users of its own
		for _, addr := range c.masters() {
			d.may(c.node(addr), " on "+addr)
		}
	} else {
		d.may(client, "")
	}
	d.hears()
	if len(d.lacks) > 0 {
		user := d.o.User
		if at, err := parseURL(d.o.URL); user == "" && err == nil {
			user = cmp.Or(at.user, "default")
		}
		d.bad("What is missing: ACL SETUSER %s %s", user, strings.Join(slices.Sorted(maps.Keys(d.lacks)), " "))
	}
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

// server looks at what kind of server it is, and reports whether it is the right one.
func (d *doctor) server(client *goredis.Client) bool {
	info, err := client.Info(d.ctx, "server").Result()
	replication, err2 := client.Info(d.ctx, "replication").Result()
	if err = cmp.Or(err, err2); err != nil {
		d.well("Its version and role are not known, since INFO is not allowed: %v.", err)
		if d.o.Adapter == Streams && code(err) == "NOPERM" {
			d.missing("+info", "info", "")
		}
		return true
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
		return false
	case mode == "cluster" && d.kind != atCluster:
		d.bad("It is a node of a Redis Cluster: write redis+cluster://host:port.")
		return false
	case mode == "standalone" && d.kind == atCluster:
		d.bad("It is a server by itself, and no Redis Cluster: write redis://host:port.")
	case field(replication, "role") == "slave" && d.kind != atCluster:
		d.bad("It is a replica of %s: what is published here is not heard there, and nothing can be written.", field(replication, "master_host"))
		return false
	}
	if d.kind == atCluster {
		learn, err := d.topo.load(d.ctx)
		if err != nil {
			d.bad("The Cluster does not say who has which slots: %v.", err)
			return false
		}
		learn()
	}
	return true
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

// trial is a command that is tried.
type trial struct {
	args []any
	key  string // the rule for the key or the channel that it is about
}

// ownChannels is the rule for the channels beside those of rooms.
func (d *doctor) ownChannels() string {
	if d.o.Adapter == Classic { // questions and answers, too
		return "&" + d.o.Prefix + "-*"
	}
	return "&" + d.o.Prefix + "-greenroom#*"
}

// trials are the commands that nodes use but for those that subscribe, each as it does no harm.
func (d *doctor) trials() (list []trial) {
	add := func(rule string, args ...any) { list = append(list, trial{args, rule}) }
	emits, own := "&"+d.o.Prefix+"#*", d.ownChannels()
	channel := d.o.Prefix + "#/#" + d.room + "#"
	add(own, "PUBLISH", d.o.Prefix+"-greenroom#"+d.room, "")
	switch d.o.Adapter {
	case Sharded:
		add(emits, "SPUBLISH", channel, "")
		add(emits, "PUBSUB", "SHARDNUMSUB", channel)
	case Streams:
		stream := d.o.stream()
		add("~"+stream, "XADD", stream, "no-id", "a", "b")
		add("~"+stream, "XREAD", "COUNT", 1, "STREAMS", stream, "$")
		add("~"+stream, "XRANGE", stream, "0-1", "0-1")
		add("~"+stream, "XINFO", "STREAM", stream)
		session, sessions := d.o.sessions()+d.room, "~"+d.o.sessions()+"*"
		add(sessions, "SET", session, "", "PX", -1)
		add(sessions, "GETDEL", session)
		add(sessions, "EVAL", saveScript, 1, session, "", "", 1)
		add(sessions, "EVAL", forgetScript, 1, session, "")
		add("", "CLIENT", "ID")
		add("", "CLIENT", "KILL", "ID", 0)
		add("", "EXEC")
		if d.o.ShardedPubSub {
			add(emits, "SPUBLISH", channel, "")
			add(emits, "PUBSUB", "SHARDNUMSUB", channel)
			break
		}
		fallthrough
	default:
		add(emits, "PUBLISH", channel, "")
		add(emits, "PUBSUB", "NUMSUB", channel)
	}
	if d.o.Adapter == Classic {
		add(own, "PUBLISH", d.o.Prefix+"-request#/"+d.room+"#", "")
		add(own, "PUBLISH", d.o.Prefix+"-response#/"+d.room+"#", "")
	}
	// What rooms have for all nodes. The key is a text, so that what would make something else of it is refused.
	kept, k := "~"+d.o.Prefix+":greenroom:*", d.o.Prefix+":greenroom:"+d.room
	add(kept, "PERSIST", k) // while there is no such key: one without an end would stay where DEL is not allowed
	add(kept, "SET", k, "", "PX", 10_000)
	add(kept, "EVAL", "return 1", 1, k)
	add(kept, "EVALSHA", strings.Repeat("0", 40), 1, k)
	add("", "TIME")
	for _, args := range [][]any{
		{"GET"}, {"PEXPIRE", 10_000}, {"INCRBY", 1}, {"DECRBY", 1}, {"RPUSH", "a"}, {"LPOP"}, {"LRANGE", 0, 0}, {"HSET", "a", "b"}, {"HLEN"},
		{"HGETALL"}, {"SADD", "a"}, {"SREM", "a"}, {"SRANDMEMBER", 1}, {"ZADD", 0, "a"}, {"ZREM", "a"}, {"ZCARD"}, {"ZRANGE", 0, 0},
		{"ZRANGEBYLEX", "-", "+"}, {"ZRANGEBYSCORE", 0, 0}, {"ZSCORE", "a"}, {"DEL"},
	} {
		add(kept, slices.Insert(slices.Clone(args), 1, any(k))...)
	}
	if d.kind == atCluster {
		add("", "ASKING")
	}
	return list
}

// may tries the commands of the adapter as its user.
func (d *doctor) may(client *goredis.Client, where string) {
	bad := false
	for _, c := range d.trials() {
		bad = d.tried(client.Do(d.ctx, c.args...).Err(), c, where) || bad
	}
	if d.o.Adapter == Streams {
		pipe := client.TxPipeline()
		pipe.Ping(d.ctx)
		_, err := pipe.Exec(d.ctx)
		bad = d.tried(err, trial{args: []any{"MULTI"}}, where) || bad
	}
	if !bad {
		d.well("The adapter's commands are allowed%s.", where)
	}
}

// tried looks at the answer to a command, and reports whether it is bad.
func (d *doctor) tried(err error, c trial, where string) bool {
	name := strings.ToLower(fmt.Sprint(c.args[0]))
	switch name {
	case "pubsub", "xinfo", "client":
		name += "|" + strings.ToLower(fmt.Sprint(c.args[1]))
	}
	shown := strings.ToUpper(strings.ReplaceAll(name, "|", " "))
	what := code(err)
	if what == "EXECABORT" && name == "exec" && strings.Contains(err.Error(), "NOPERM") { // as it says there
		what = "NOPERM"
	}
	switch what {
	case "NOPERM":
		rule := "+" + name
		if text := err.Error(); c.key != "" && !strings.Contains(text, "to run") && (strings.Contains(text, "key") || strings.Contains(text, "channel")) {
			rule = c.key
		}
		d.missing(rule, name, where)
	case "OOM", "READONLY", "MISCONF", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS":
		if !d.refuses[code(err)] { // of the first only: it will refuse many
			d.refuses[code(err)] = true
			d.bad("It refuses %s%s: %v.", shown, where, err)
		}
	case "ERR":
		if !strings.Contains(err.Error(), "unknown command") && !strings.Contains(err.Error(), "unknown subcommand") {
			return false
		}
		d.bad("It does not know %s%s: it is too old, or the command has been given another name.", shown, where)
	default:
		return false
	}
	return true
}

// missing tells of a rule that the user lacks, once.
func (d *doctor) missing(rule, name, where string) {
	shown := rule
	if strings.ContainsAny(rule, "|&*~#") {
		shown = "'" + rule + "'"
	}
	if d.lacks[shown] {
		return
	}
	d.lacks[shown] = true
	name = strings.ToUpper(strings.ReplaceAll(name, "|", " "))
	switch rule[0] {
	case '~':
		d.bad("The user may not use the keys %s (%s)%s: the rule %s is missing in its ACL.", rule[1:], name, where, shown)
	case '&':
		d.bad("The user may not use the channels %s (%s)%s: the rule %s is missing in its ACL.", rule[1:], name, where, shown)
	default:
		d.bad("The user may not use %s%s: the rule %s is missing in its ACL.", name, where, shown)
	}
}

// hears publishes something and waits for it, as an adapter would.
func (d *doctor) hears() {
	heard := make(chan struct{}, 1)
	l := newLink(d.topo, linkOptions{timeout: d.o.Timeout, clientName: "greenroom-doctor"}, slog.New(slog.DiscardHandler), func(string) {},
		func(channel string, _ []byte) {
			if strings.Contains(channel, d.room) { // by the pattern, others are heard too
				select {
				case heard <- struct{}{}:
				default:
				}
			}
		})
	defer l.close()
	room := d.o.Prefix + "#/#" + d.room + "#"
	sharded := d.o.Adapter == Sharded || d.o.Adapter == Streams && d.o.ShardedPubSub
	kind, channel, rule := subChannel, room, "&"+d.o.Prefix+"#*"
	switch {
	case sharded:
		kind = subShard
	case d.o.Adapter == Classic:
		kind, channel = subPattern, d.o.Prefix+"#/#*"
		rule = "&" + channel
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.o.Timeout)
	defer cancel()
	subscribed := func(kind subKind, channel, rule string) bool {
		l.subscribe(kind, channel)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for err := l.ready(); err != nil; err = l.ready() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				d.silent(err, kind, rule)
				return false
			}
		}
		return true
	}
	if !subscribed(kind, channel, rule) || !subscribed(subChannel, d.o.Prefix+"-greenroom#"+d.room, d.ownChannels()) {
		return
	}
	l.publish(sharded, room, []byte("doctor"))
	select {
	case <-heard:
		d.well("What is published is heard.")
	case <-ctx.Done():
		d.bad("What is published is not heard.")
	}
}

// silent says why there is no subscription.
func (d *doctor) silent(err error, kind subKind, rule string) {
	if code(err) != "NOPERM" {
		d.bad("It does not let us subscribe: %s.", strings.TrimPrefix(err.Error(), "redis: "))
		return
	}
	word := strings.ToLower(subscribeWords[kind])
	if !strings.Contains(err.Error(), "channel") {
		rule = "+" + word
	}
	d.missing(rule, word, "")
	if kind == subPattern && rule[0] == '&' {
		d.well("Redis wants patterns word for word, so each namespace has a rule of its own: this one is for \"/\".")
	}
}
