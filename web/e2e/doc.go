// Package e2e looks at the chat demo as people do: it starts the real server, opens two tabs of headless
// Chromium, pushes messages over ZeroMQ from Python, stops the server and starts it again. It is a module
// of its own, so that the browser driver is no dependency of Greenroom.
//
//	make web && cd web/e2e && go test ./...
//
// GREENROOM_ARTIFACTS is where the screenshots go (default: artifacts). CHROMIUM names the browser when it is not
// found by itself.
package e2e
