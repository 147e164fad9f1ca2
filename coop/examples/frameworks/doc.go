// Package frameworks shows Greenroom and coop beside the web frameworks that people have: net/http's
// ServeMux, chi, gin and echo. It is a module of its own, so that they are no dependencies of Greenroom.
// The package has no code; its folders are programs:
//
//	go run ./mount -framework chi     Greenroom's Socket.IO server under a framework's routes
//	go run ./serve -framework chi     a framework's routes served by coop's HTTP server
//
// docs/frameworks.md shows the lines that matter.
package frameworks
