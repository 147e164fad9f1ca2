package redis

import "greenroom/hub"

// ephemeral is what the streams adapter does by publish and subscribe: questions to other nodes and their answers.
type ephemeral struct{ s *streams }

func newEphemeral(s *streams) *ephemeral    { return &ephemeral{s} }
func (e *ephemeral) join(hub.Node)          {}
func (e *ephemeral) message(string, []byte) {}
func (e *ephemeral) close() error           { return nil }
func (e *ephemeral) send(*hub.NodeRequest, func(hub.NodeReply)) (func() []string, error) {
	return nil, nil
}
