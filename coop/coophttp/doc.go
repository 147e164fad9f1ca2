// Package coophttp is HTTP/1 in greenlets: a server that runs each connection's handlers in one, and a
// client with a pool of connections. gevent: pywsgi; geventhttpclient.
//
// It is a package of its own so that programs which only schedule do not carry net/http.
//
// # The server
//
// Handlers are those of net/http. They run on the loop, one at a time until they park, so they share
// the loop's data without locks. [Greenlet] gives a handler the greenlet that it runs in:
//
//	func hello(w http.ResponseWriter, r *http.Request) {
//		g := coophttp.Greenlet(r)
//		if err := g.Sleep(time.Second); err != nil {
//			return // killed: the server stops
//		}
//		fmt.Fprintln(w, "Hello World!")
//	}
//
//	coop.Run(func(g *coop.Greenlet) error {
//		s := &coophttp.Server{Handler: http.HandlerFunc(hello)}
//		return s.ListenAndServe(g, "127.0.0.1:8088")
//	})
//
// A handler that blocks in an ordinary way (a database, a file, a mutex) holds up everybody on its loop.
// [Blocking] makes it run on a goroutine instead. Reading the request's body, writing and flushing
// the response park by themselves.
//
// HTTP/1.1 and 1.0 are spoken, over TCP, Unix sockets and TLS: keep-alive, pipelining, chunks in both
// directions, trailers, Expect: 100-continue, Hijack. There is no HTTP/2. A response writer is also an
// [http.Flusher] and an [http.Hijacker] and works with [http.ResponseController]. A handler is not told
// when its client goes; the next read or write fails.
//
// # Costs
//
// On Linux an idle keep-alive connection holds a greenlet and no buffers, about 5 KB. A request that is answered
// within 4 KB takes one read and one write: Hello World! over 100 connections took 7.6 µs of CPU time a request
// where net/http took 10.2 on the same machine. BenchmarkHello compares the two in one process; from outside:
//
//	go run ./coop/examples/httpserver &
//	wrk -c 100 -t 1 -d 10 http://127.0.0.1:8088/
//
// # The client
//
// A [Transport] is an [http.RoundTripper] for the greenlets of one loop, so http.Client brings redirects
// and cookies along:
//
//	client := &http.Client{Transport: &coophttp.Transport{Loop: g.Loop(), MaxPerHost: 8}}
//	resp, err := client.Get("http://127.0.0.1:8088/")
package coophttp
