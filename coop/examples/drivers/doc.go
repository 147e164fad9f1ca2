// Package drivers has a thousand greenlets use clients that know nothing of greenlets, each in the way that is
// right for it. A greenlet must not block, because its loop would; there are two ways out:
//
//   - The client takes a connection. If it reads and writes on the goroutine that calls it, as gomemcache does,
//     it is given a [coop.Conn], which parks the greenlet: [Memcache].
//   - The client has goroutines of its own, as database/sql and go-redis do. Then the call goes to a
//     goroutine with [coop.Await], and no more of them run than the client has connections: [MySQL], [Redis].
//
// An HTTP client would be of the second kind; coophttp has one whose connections live on the loop: [HTTP].
//
// Each folder is a program that runs [Demo] against a server of yours:
//
//	go run ./memcache -addr 127.0.0.1:11211
//
// The tests start servers of their own and need mariadbd, memcached and redis-server.
package drivers
