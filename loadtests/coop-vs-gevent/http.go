package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

const (
	httpKey  = "http"
	httpName = "HTTP Hello World!, wrk with 100 connections (pywsgi, net/http, coophttp on one loop)"
)

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path != "/" {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "Not Found")
		return
	}
	io.WriteString(w, "Hello World!")
}

// serveHello prints its address and serves until it is killed.
func serveHello(w io.Writer, side string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(w, ln.Addr())
	switch side {
	case "goroutines":
		return http.Serve(ln, http.HandlerFunc(hello))
	case "coop":
		return coop.Run(func(g *coop.Greenlet) error {
			server := &coophttp.Server{Handler: http.HandlerFunc(hello)}
			return server.Serve(g, coop.NewListener(g.Loop(), ln))
		})
	}
	return fmt.Errorf("no HTTP server for %q", side)
}

// measureHTTP returns requests per second, and per second of the server's processor time.
func (c *comparison) measureHTTP(side string) []float64 {
	if side == "iter.Pull" {
		return nil
	}
	v, err := c.loadHTTP(side)
	if err != nil {
		c.complain(side, httpKey, err)
		return []float64{math.NaN(), math.NaN()}
	}
	return v
}

func (c *comparison) loadHTTP(side string) ([]float64, error) {
	cmd := c.command(side, httpKey, 0)
	cmd.Stderr = c.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, err
	}
	addr = strings.TrimSpace(addr)
	if _, err := wrk(addr, 1); err != nil { // warms up
		return nil, err
	}
	before, err := cpuSeconds(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	r, err := wrk(addr, c.seconds)
	if err != nil {
		return nil, err
	}
	after, err := cpuSeconds(cmd.Process.Pid)
	return []float64{r.perSecond, float64(r.requests) / (after - before)}, err
}

type wrkResult struct {
	requests  int
	perSecond float64
}

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in`)
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
)

func wrk(addr string, seconds int) (r wrkResult, err error) {
	out, err := exec.Command("wrk", "-t", "1", "-c", "100", "-d", strconv.Itoa(seconds)+"s", "http://"+addr+"/").CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("wrk (apt-get install wrk): %w\n%s", err, out)
	}
	total, rate := wrkTotal.FindSubmatch(out), wrkRate.FindSubmatch(out)
	if total == nil || rate == nil || strings.Contains(string(out), "Non-2xx") {
		return r, fmt.Errorf("wrk said:\n%s", out)
	}
	if r.requests, err = strconv.Atoi(string(total[1])); err != nil {
		return r, err
	}
	r.perSecond, err = strconv.ParseFloat(string(rate[1]), 64)
	return r, err
}

// cpuSeconds is the processor time that a process has used, from /proc.
func cpuSeconds(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat: not as expected")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const ticksPerSecond = 100 // Linux tells all programs so
	return float64(user+system) / ticksPerSecond, errors.Join(err1, err2)
}
