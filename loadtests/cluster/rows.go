//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// row is one thing that is compared, for Node.js' nodes and for ours.
type row struct {
	name    string
	line    line
	adapter string
	measure func(*pair) (float64, error)
	floor   bool // also for a server that does nothing but write
}

var rows = []row{
	{"rate", line{Title: "classic: one publisher on A, one subscriber on B", Unit: "messages/s", Bar: 2}, "classic", rate, false},
	{"latency", line{Title: "classic: 100 messages a second from A to B, median", Unit: "ms", Bar: 0.7, Most: true}, "classic", latency, false},
	{"fanout", line{Title: "classic: 200 members on B, 100 messages/s, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "classic", fanout, true},
	{"fanout-busy", line{Title: "classic: 200 members on B, 20 messages under way, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "classic", busyFanout, false},
	{"sharded-rate", line{Title: "sharded: one publisher on A, one subscriber on B", Unit: "messages/s", Bar: 2}, "sharded", rate, false},
	{"sharded-latency", line{Title: "sharded: 100 messages a second from A to B, median", Unit: "ms", Bar: 0.7, Most: true}, "sharded", latency, false},
	{"sharded-fanout", line{Title: "sharded: 200 members on B, 100 messages/s, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "sharded", fanout, true},
	{"sharded-fanout-busy", line{Title: "sharded: 200 members on B, 20 messages under way, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "sharded", busyFanout, false},
	{"streams-rate", line{Title: "streams: one publisher on A, one subscriber on B", Unit: "messages/s"}, "streams", rate, false},
	{"streams-latency", line{Title: "streams: 100 messages a second from A to B, median", Unit: "ms"}, "streams", latency, false},
	{"streams-fanout", line{Title: "streams: 200 members on B, 100 messages/s, CPU of B a delivery", Unit: "µs"}, "streams", fanout, true},
	{"streams-fanout-busy", line{Title: "streams: 200 members on B, 20 messages under way, CPU of B a delivery", Unit: "µs"}, "streams", busyFanout, false},
	{"commands", line{Title: "classic: commands for Redis, a message", Unit: "1", Bar: 1.001, Most: true, Alone: true}, "classic", commands, false},
	{"sharded-commands", line{Title: "sharded: commands for Redis, a message", Unit: "1", Bar: 1.001, Most: true, Alone: true}, "sharded", commands, false},
	{"streams-commands", line{Title: "streams: commands for Redis, a message", Unit: "1"}, "streams", commands, false},
	{"bystander", line{Title: "classic: nobody on B, CPU of B a message", Unit: "µs"}, "classic", bystander, false},
	{"sharded-bystander", line{Title: "sharded: nobody on B, CPU of B a message", Unit: "µs", Bar: 0.1, Most: true, Alone: true}, "sharded", bystander, false},
	{"streams-bystander", line{Title: "streams: nobody on B, CPU of B a message", Unit: "µs"}, "streams", bystander, false},
}

// server is whose figure it is.
type server uint8

const (
	nodejs server = iota
	greenroom
	plain // writes, and does nothing else
)

// round measures each server once. Who begins changes.
func (r row) round(l *line) error {
	turns := []server{nodejs, greenroom}
	if r.floor {
		turns = append(turns, plain)
	}
	first := l.Rounds()
	for i := range turns {
		who := turns[(first+i)%len(turns)]
		l.Loads = append(l.Loads, load())
		v, err := r.once(who)
		if err != nil {
			return err
		}
		switch who {
		case nodejs:
			l.Theirs = append(l.Theirs, v)
		case greenroom:
			l.Ours = append(l.Ours, v)
		case plain:
			l.Floor = append(l.Floor, v)
		}
	}
	return nil
}

// once starts Redis and two nodes, and measures.
func (r row) once(who server) (v float64, err error) {
	p := &pair{}
	defer func() { p.stop() }()
	if who == plain {
		err = p.startPlain()
	} else {
		err = p.start(who == nodejs, r.adapter)
	}
	if err != nil {
		return 0, err
	}
	return r.measure(p)
}

// pair is Redis and two nodes, each a process.
type pair struct {
	ends         []func()
	emit         func(n int) error // has node A send messages
	addrA, addrB string
	pidB         int
	oneThread    bool // B's first thread is all that counts
	redis        *goredis.Client
}

func (p *pair) stop() {
	for _, end := range slices.Backward(p.ends) {
		end()
	}
}

func (p *pair) start(nodejs bool, adapter string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	_ = ln.Close()
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return err
	}
	p.ends = append(p.ends, func() { _ = os.RemoveAll(dir) })
	_, _, _, err = p.process("Ready to accept", exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir))
	if err != nil {
		return err
	}
	p.redis = goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
	p.ends = append(p.ends, func() { _ = p.redis.Close() })
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		url := "redis://127.0.0.1:" + port
		cmd := exec.Command(self, "serve", url, adapter, name)
		if nodejs {
			cmd = exec.Command("node", filepath.Join("loadtests", "cluster", "nodejs", "node.mjs"), url, adapter)
		}
		in, pid, addr, err := p.process("127.0.0.1:", cmd)
		if err != nil {
			return err
		}
		if name == "a" {
			p.emit = func(n int) error {
				_, err := fmt.Fprintln(in, n)
				return err
			}
			p.addrA = addr
		} else {
			p.addrB, p.pidB = addr, pid
		}
	}
	return nil
}

// process starts one and waits for a line with text. It ends with the pair.
func (p *pair) process(text string, cmd *exec.Cmd) (in io.WriteCloser, pid int, line string, err error) {
	in, err = cmd.StdinPipe()
	if err != nil {
		return nil, 0, "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, 0, "", err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, 0, "", err
	}
	p.ends = append(p.ends, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
			return in, cmd.Process.Pid, lines.Text(), nil
		}
	}
	return nil, 0, "", fmt.Errorf("%s ended", cmd.Path)
}

// plainServer is where main builds it.
var plainServer = filepath.Join("bin", "peer-rawwrite")

// startPlain starts, in the place of all of that, a server of one thread which is B, and whose publisher is a client that it has.
func (p *pair) startPlain() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.addrB = ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(p.addrB)
	cmd := exec.Command(plainServer, port)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	p.ends = append(p.ends, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.pidB, p.oneThread = cmd.Process.Pid, true // the others are Go's runtime, which has a look at the one every 20 µs
	var c *client
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if c, err = dial(p.addrB); err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
	}
	p.ends = append(p.ends, func() { _ = c.conn.Close() })
	p.emit = func(n int) error {
		for range n {
			if err := c.send(fmt.Sprintf(`42["pub","room","%d","%s"]`, monotonic(), text)); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// connect has n clients on B, who are in the room, and hear what A sends.
func (p *pair) connect(n int) (list []*client, err error) { return p.connectTo(p.addrB, n) }

func (p *pair) connectTo(addr string, n int) (list []*client, err error) {
	for range n {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		p.ends = append(p.ends, func() { _ = c.conn.Close() })
		if err := c.join(); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	time.Sleep(300 * time.Millisecond) // the last join has no ack; the room's channel is asked for behind it
	if err := p.emit(1); err != nil {
		return nil, err
	}
	for _, c := range list {
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.next(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

const (
	window   = 2000 // messages under way
	warmUp   = time.Second
	duration = 4 * time.Second
)

// rate is how many messages a second arrive at one client on B while some are under way.
func rate(p *pair) (float64, error) {
	list, err := p.connect(1)
	if err != nil {
		return 0, err
	}
	c := list[0]
	if err := p.emit(window); err != nil {
		return 0, err
	}
	begin := time.Now()
	counted, from := 0, time.Time{}
	for n := 1; ; n++ {
		if _, err := c.next(); err != nil {
			return 0, err
		}
		if n%(window/4) != 0 {
			continue
		}
		if err := p.emit(window / 4); err != nil {
			return 0, err
		}
		switch now := time.Now(); {
		case now.Sub(begin) < warmUp:
		case from.IsZero():
			from, counted = now, n
		case now.Sub(from) > duration:
			return float64(n-counted) / now.Sub(from).Seconds(), nil
		}
	}
}

// latency is the median time from the call of emit on A to the arrival at a client of B, in ms.
func latency(p *pair) (float64, error) {
	list, err := p.connect(1)
	if err != nil {
		return 0, err
	}
	var took []float64
	next := time.Now()
	for range 500 {
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next))
		if err := p.emit(1); err != nil {
			return 0, err
		}
		text, err := list[0].next()
		if err != nil {
			return 0, err
		}
		took = append(took, float64(monotonic()-sent(text))/1e6)
	}
	return median(took), nil
}

const members = 200

// fanout is the CPU time of B for each delivery, in µs, at a rate that both do easily: each message has the node for itself.
func fanout(p *pair) (float64, error) {
	var next time.Time
	return p.deliver(400, 0, func(n int) error {
		if n == 0 {
			next = time.Now()
		}
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next))
		return p.emit(1)
	})
}

// busyFanout is the same as fast as B goes, while some messages are under way.
func busyFanout(p *pair) (float64, error) {
	return p.deliver(2000, 20, func(int) error { return p.emit(1) })
}

// deliver has messages sent to the members on B, with at most underWay of them that one member has not got, if that is
// not 0.
func (p *pair) deliver(messages, underWay int, send func(n int) error) (float64, error) {
	list, err := p.connect(members)
	if err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	failed := make(chan error, members)
	got := make(chan struct{}, messages) // by one of them
	for i, c := range list {
		go func() {
			for range messages {
				if _, err := c.next(); err != nil {
					failed <- err
					return
				}
				if i == 0 {
					got <- struct{}{}
				}
			}
			failed <- nil
		}()
	}
	for n := range messages {
		if underWay > 0 && n >= underWay {
			select {
			case <-got:
			case err := <-failed:
				return 0, errors.Join(err, errors.New("messages are missing"))
			}
		}
		if err := send(n); err != nil {
			return 0, err
		}
	}
	for range list {
		if err := <-failed; err != nil {
			return 0, err
		}
	}
	after, err := p.cpu()
	return (after - before).Seconds() * 1e6 / float64(members*messages), err
}

// commands is how many commands Redis does for a message, but for those that ask whether it lives. Every five seconds a
// Greenroom node says hello by one more.
func commands(p *pair) (float64, error) {
	const messages = 20_000
	list, err := p.connect(1)
	if err != nil {
		return 0, err
	}
	before, err := p.calls()
	if err != nil {
		return 0, err
	}
	if err := p.paced(messages, list[0]); err != nil {
		return 0, err
	}
	after, err := p.calls()
	return float64(after-before) / messages, err
}

// calls counts the commands that Redis has done, without PING and INFO and with what scripts call.
func (p *pair) calls() (n int, err error) {
	text, err := p.redis.Info(context.Background(), "commandstats").Result()
	if err != nil {
		return 0, err
	}
	for text := range strings.Lines(text) {
		name, rest, ok := strings.Cut(text, ":calls=")
		if !ok || name == "cmdstat_ping" || name == "cmdstat_info" {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		c, err := strconv.Atoi(calls)
		if err != nil {
			return 0, err
		}
		n += c
	}
	return n, nil
}

// bystander is the CPU time of B for each message to a room with a member on A and nobody on B, in µs: beyond what B
// uses when nothing is sent.
func bystander(p *pair) (float64, error) {
	const messages = 20_000
	list, err := p.connectTo(p.addrA, 1)
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Second) // B has begun, and what its start has left over is swept away
	var used [2]time.Duration
	var took [2]time.Duration
	for i := range used {
		before, err := p.cpu()
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		if i == 1 {
			err = p.paced(messages, list[0])
		} else {
			time.Sleep(2 * time.Second)
		}
		if err != nil {
			return 0, err
		}
		took[i] = time.Since(begin)
		after, err := p.cpu()
		if err != nil {
			return 0, err
		}
		used[i] = after - before
	}
	idle := used[0].Seconds() / took[0].Seconds() * took[1].Seconds()
	return max(used[1].Seconds()-idle, 0) * 1e6 / messages, nil
}

// paced sends messages, a hundred every 10 ms, and reads them.
func (p *pair) paced(messages int, c *client) error {
	const step = 100
	next := time.Now()
	for range messages / step {
		if err := p.emit(step); err != nil {
			return err
		}
		for range step {
			if _, err := c.next(); err != nil {
				return err
			}
		}
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next))
	}
	return nil
}

// cpu is what B has used: /proc/PID/task/TID/schedstat, nanoseconds in front, where stat only counts hundredths of a second.
func (p *pair) cpu() (used time.Duration, err error) {
	which := "*"
	if p.oneThread {
		which = strconv.Itoa(p.pidB)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/%s/schedstat", p.pidB, which))
	if err != nil || len(tasks) == 0 {
		return 0, errors.Join(err, errors.New("the kernel does not say what a thread has used"))
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		used += time.Duration(ns)
	}
	return used, nil
}
