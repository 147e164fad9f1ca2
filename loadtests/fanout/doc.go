// Command fanout measures what a broadcast costs a Socket.IO server.
//
// It connects many WebSocket clients to one room, lets one of them publish, counts what arrives, and
// reads the server's CPU time and memory from /proc. The figure to compare is the server's CPU time
// per delivery: unlike deliveries per second it hardly depends on how fast the generator is.
//
//	fanout -clients 200 -window 4 -seconds 10 \
//	    -cmd 'nodejs=node loadtests/peers/nodejs/server.js {port}' \
//	    -cmd 'greenroom=bin/peer-greenroom {port}'
//
// Each -cmd is started, measured and stopped in turn, and compared with the first. -idle connects
// sessions that do nothing and reports the memory of one and the CPU time of all.
//
// The generator is one thread over epoll that parses frames in place and allocates nothing while it
// measures; its own CPU time per delivery is printed beside the server's. Linux only.
package main
