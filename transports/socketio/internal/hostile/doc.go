// Package hostile holds one table test: what a hostile peer may send to a server of Socket.IO, row by row, what it
// gets for it, and that two other clients in the same room hear everything that is said there meanwhile, in order,
// and nothing else, while the server's memory stays within bounds.
//
// What does not reach a Socket.IO server has its rows elsewhere: static files in web, HTTP/2 and the names of hosts
// in cmd/greenroom, ZeroMQ in transports/zeromq. The frames and requests that break the rules of WebSocket and
// Engine.IO stand in transports/engineio once more, in every state that a session can have.
package hostile
