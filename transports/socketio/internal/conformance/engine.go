package main

import (
	"bytes"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// echo sends every message back.
type echo struct{}

// OnMessage implements [engineio.Handler].
func (echo) OnMessage(s *engineio.Socket, data []byte, binary bool) {
	data = bytes.Clone(data) // it is the loop's
	if binary {
		s.SendBinary(data)
		return
	}
	s.SendText(data)
}

// OnClose implements [engineio.Handler].
func (echo) OnClose(*engineio.Socket, string) {}

// wires are what an engine needs; no message of the hub ever takes them here.
var wires = engineio.Wires{
	WebSocket: hub.RegisterWire("conformance over WebSocket", func(m *hub.Message) []byte {
		return engineio.EncodeWebSocket(m.Payload.JSON, m.Payload.Attachments)
	}),
	Polling: hub.RegisterWire("conformance over polling", func(m *hub.Message) []byte {
		return engineio.EncodePolling(m.Payload.JSON, m.Payload.Attachments)
	}),
}
