//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/hub"
	"greenroom/transports/redis"
	"greenroom/transports/socketio"
)

// serve is a Greenroom node: it does what nodejs/node.mjs does.
func serve(url, adapter, name string) error {
	a, err := redis.New(redis.Options{URL: url, Adapter: redis.Kind(adapter)})
	if err != nil {
		return err
	}
	h, err := hub.New(hub.Options{Node: name, Adapter: a})
	if err != nil {
		return err
	}
	err = h.Handle("/", func(s *hub.Session) error {
		for ev := range s.Events() {
			var room string
			if err := ev.Args(&room); err == nil && ev.Name == "join" {
				_ = s.Join(room)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); a.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return a.Ready()
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	sio := socketio.New(h, socketio.Options{})
	server := &http.Server{Handler: sio}
	go func() { _ = server.Serve(ln) }() // ends with the process
	fmt.Println(ln.Addr())
	_ = unix.SetNonblock(0, true) // so that who waits for a line does not keep a thread, as little as Node.js does
	lines := bufio.NewScanner(os.NewFile(0, "stdin"))
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		for range n {
			if err := h.To("room").Emit("message", strconv.FormatInt(monotonic(), 10), text); err != nil {
				return err
			}
		}
	}
	return errors.Join(sio.Close(context.Background()), h.Close())
}

// text is what a message has beside the time.
var text = strings.Repeat("x", 64)

// monotonic is the clock that all processes of a machine share, in nanoseconds: process.hrtime of Node.js.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
