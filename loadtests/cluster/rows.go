//go:build unix

package main

import (
	"bufio"
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
)

// row is one thing that is compared, for Node.js' nodes and for ours.
type row struct {
	name    string
	line    line
	adapter string
	measure func(*pair) (float64, error)
}

var rows = []row{
	{"rate", line{Title: "classic: one publisher on A, one subscriber on B", Unit: "messages/s", Bar: 2}, "classic", rate},
	{"latency", line{Title: "classic: 100 messages a second from A to B, median", Unit: "ms", Bar: 0.7, Most: true}, "classic", latency},
	{"fanout", line{Title: "classic: 200 members on B, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "classic", fanout},
	{"sharded-rate", line{Title: "sharded: one publisher on A, one subscriber on B", Unit: "messages/s", Bar: 2}, "sharded", rate},
	{"sharded-latency", line{Title: "sharded: 100 messages a second from A to B, median", Unit: "ms", Bar: 0.7, Most: true}, "sharded", latency},
	{"sharded-fanout", line{Title: "sharded: 200 members on B, CPU of B a delivery", Unit: "µs", Bar: 0.25, Most: true}, "sharded", fanout},
}

// once starts Redis and two nodes, and measures.
func (r row) once(nodejs bool) (v float64, err error) {
	p := &pair{}
	defer func() { p.stop() }()
	if err := p.start(nodejs, r.adapter); err != nil {
		return 0, err
	}
	return r.measure(p)
}

// pair is Redis and two nodes, each a process.
type pair struct {
	ends         []func()
	a            io.Writer // says how many messages node A is to emit
	addrB        string
	pidB, pidRed int
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
	_, pid, _, err := p.process("Ready to accept", exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir))
	if err != nil {
		return err
	}
	p.pidRed = pid
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
			p.a = in
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

func (p *pair) emit(n int) error {
	_, err := fmt.Fprintln(p.a, n)
	return err
}

// connect has n clients on B, who are in the room, and hear what A sends.
func (p *pair) connect(n int) (list []*client, err error) {
	for range n {
		c, err := dial(p.addrB)
		if err != nil {
			return nil, err
		}
		p.ends = append(p.ends, func() { _ = c.conn.Close() })
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

// fanout is the CPU time of B for each delivery, in µs, at a rate that both do easily.
func fanout(p *pair) (float64, error) {
	const members, messages = 200, 400
	list, err := p.connect(members)
	if err != nil {
		return 0, err
	}
	before, err := cpu(p.pidB)
	if err != nil {
		return 0, err
	}
	failed := make(chan error, members)
	for _, c := range list {
		go func() {
			for range messages {
				if _, err := c.next(); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	next := time.Now()
	for range messages {
		if err := p.emit(1); err != nil {
			return 0, err
		}
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next))
	}
	for range list {
		if err := <-failed; err != nil {
			return 0, err
		}
	}
	after, err := cpu(p.pidB)
	return (after - before).Seconds() * 1e6 / (members * messages), err
}

// cpu is what a process has used (proc(5), fields 14 and 15).
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc has another form here")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}
