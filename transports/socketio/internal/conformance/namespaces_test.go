package main

import (
	"encoding/json"
	"strings"
	"testing"
)

var socketChecks = []check{
	{"connect: to the main namespace", quiet, connects("40", "40", `42["auth",{}]`)},
	{"connect: to the main namespace, with a payload", quiet, connects(`40{"token":"123"}`, "40", `42["auth",{"token":"123"}]`)},
	{"connect: to a custom namespace", quiet, connects("40/custom,", "40/custom,", `42/custom,["auth",{}]`)},
	{"connect: to a custom namespace, with a payload", quiet, connects(`40/custom,{"token":"abc"}`, "40/custom,", `42/custom,["auth",{"token":"abc"}]`)},
	{"connect: to an unknown namespace", quiet, unknownNamespace},
	{"connect: an invalid handshake", quiet, invalidHandshake},
	{"connect: no handshake", hasty, noHandshake},
	{"disconnect: from the main namespace", beating, leavesMain},
	{"disconnect: from a custom namespace", quiet, leavesCustom},
	{"message: plain", quiet, plainMessage},
	{"message: binary", quiet, binaryMessage},
	{"message: with an ack", quiet, ack},
	{"message: binary, with an ack", quiet, binaryAck},
	{"message: an unknown type", quiet, closesOver("4abc")},
	{"message: an invalid payload", quiet, closesOver("42{}")},
	{"message: an invalid ack id", quiet, closesOver(`42abc["message-with-ack",1,"2",{"3":[false]}]`)},
}

func TestSocketSuite(t *testing.T) {
	checks := append(append([]check{}, engineChecks...), socketChecks...)
	if len(checks) != 32 {
		t.Errorf("%d checks, the suite has 32", len(checks))
	}
	runChecks(t, false, checks)
}

// join sends a CONNECT and takes the reply, which has an id and nothing else.
func (c *socket) join(connect, head string) {
	c.t.Helper()
	c.send(connect)
	m := c.next()
	var reply map[string]string
	if !strings.HasPrefix(m, head+"{") || json.Unmarshal([]byte(m[len(head):]), &reply) != nil || len(reply) != 1 || reply["sid"] == "" {
		c.t.Fatalf("connecting: got %q", m)
	}
}

// connectMain connects to the main namespace.
func (s *target) connectMain(t *testing.T) *socket {
	t.Helper()
	c := s.connectOpen(t)
	c.join("40", "40")
	c.want(`42["auth",{}]`)
	return c
}

func connects(connect, head, auth string) func(*testing.T, *target) {
	return func(t *testing.T, s *target) {
		c := s.connectOpen(t)
		c.join(connect, head)
		c.want(auth)
	}
}

// TestPause: the suite sees the answer to CONNECT before the first event is there.
func TestPause(t *testing.T) {
	s := start(t, false, quiet, "-pause", "1h")
	c := s.connectOpen(t)
	c.join("40", "40")
	c.send(`4299["message"]`) // waits for the handler
	c.join("40/custom,", "40/custom,")
}

func unknownNamespace(t *testing.T, s *target) {
	c := s.connectOpen(t)
	c.send("40/random")
	c.want(`44/random,{"message":"Invalid namespace"}`)
}

func invalidHandshake(t *testing.T, s *target) {
	c := s.connectOpen(t)
	c.send("4abc")
	c.wantClosed()
}

func noHandshake(t *testing.T, s *target) {
	c := s.connectOpen(t)
	c.wantClosed()
}

// leavesMain: what comes next is a ping, so the connection stays.
func leavesMain(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.send("41")
	c.want("2")
}

func leavesCustom(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.join("40/custom", "40/custom,")
	c.want(`42/custom,["auth",{}]`)
	c.send("41/custom", `42["message","message to main namespace"]`)
	c.want(`42["message-back","message to main namespace"]`)
}

func plainMessage(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.send(`42["message",1,"2",{"3":[true]}]`)
	c.want(`42["message-back",1,"2",{"3":[true]}]`)
}

const attached = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`

func binaryMessage(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.send(`452-["message",` + attached)
	c.sendBinary(1, 2, 3)
	c.sendBinary(4, 5, 6)
	c.want(`452-["message-back",`+attached, "b010203", "b040506")
}

func ack(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.send(`42456["message-with-ack",1,"2",{"3":[false]}]`)
	c.want(`43456[1,"2",{"3":[false]}]`)
}

func binaryAck(t *testing.T, s *target) {
	c := s.connectMain(t)
	c.send(`452-789["message-with-ack",` + attached)
	c.sendBinary(1, 2, 3)
	c.sendBinary(4, 5, 6)
	c.want(`462-789[`+attached, "b010203", "b040506")
}

func closesOver(packet string) func(*testing.T, *target) {
	return func(t *testing.T, s *target) {
		c := s.connectMain(t)
		c.send(packet)
		c.wantClosed()
	}
}
