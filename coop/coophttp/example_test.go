package coophttp_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// A handler is a greenlet: it sleeps, and others are served meanwhile.
func Example() {
	err := coop.Run(func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if coophttp.Greenlet(r).Sleep(time.Millisecond) == nil {
				fmt.Fprintf(w, "Hello from %s", r.URL.Path)
			}
		})}
		g.Spawn(func(g *coop.Greenlet) error { return server.Serve(g, ln) })

		client := &http.Client{Transport: &coophttp.Transport{Loop: g.Loop(), MaxPerHost: 8}}
		resp, err := client.Get("http://" + ln.Addr().String() + "/here")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Println(resp.Status, string(body))
		if err != nil {
			return err
		}
		client.CloseIdleConnections()
		return g.WithTimeout(time.Second, func() error { return server.Stop(g) })
	})
	fmt.Println(err)
	// Output:
	// 200 OK Hello from /here
	// <nil>
}

// A handler that blocks in an ordinary way gets a goroutine.
func ExampleBlocking() {
	mux := http.NewServeMux()
	mux.Handle("/slow", coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond) // a database, say
		io.WriteString(w, "done")
	})))
	coop.Run(func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &coophttp.Server{Handler: mux}
		g.Spawn(func(g *coop.Greenlet) error { return server.Serve(g, ln) })
		client := &http.Client{Transport: &coophttp.Transport{Loop: g.Loop()}}
		resp, err := client.Get("http://" + ln.Addr().String() + "/slow")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Println(string(body))
		return err
	})
	// Output: done
}
