package main

import (
	"time"

	"greenroom/transports/zeromq"
)

// subscriberFlags are what ZeroMQ subscribers get.
type subscriberFlags struct {
	ZmqPubStyle     string        `default:"full" enum:"full,plain" help:"What subscribers get: full is [room, event, data, meta], plain is [room, data]."`
	ZmqPubSlow      string        `default:"disconnect" enum:"disconnect,drop" help:"What happens to a subscriber that does not keep up: it is disconnected, or misses messages."`
	ZmqPubLag       time.Duration `default:"10s" help:"How long messages for a subscriber may wait before that."`
	ZmqPubWelcome   []string      `placeholder:"FRAME" help:"Frames of a message that each subscriber gets first. Repeatable."`
	ZmqPubHeartbeat time.Duration `default:"5s" help:"Time between two messages of the topic $$hb; -1s for none."`
}

// apply puts the flags into the bridge's options.
func (f *subscriberFlags) apply(o *zeromq.Options) {
	if f.ZmqPubStyle == "plain" {
		o.PubStyle = zeromq.Plain
	}
	if f.ZmqPubSlow == "drop" {
		o.Slow = zeromq.SlowDrop
	}
	o.MaxLag, o.Welcome, o.PubHeartbeat = f.ZmqPubLag, f.ZmqPubWelcome, f.ZmqPubHeartbeat
}
