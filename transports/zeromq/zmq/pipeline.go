package zmq

// push distributes messages (RFC 30).
type push struct{ robin }

func newPush(s *Socket) pattern { return &push{robin{plain: plain{s}}} }

func (p *push) arrive(*peer, [][]byte) (message, bool) { return p.ignore() }
func (*push) recv() (message, error)                   { return message{}, ErrDirection }
func (*push) receivable() bool                         { return false }

// pull collects them.
type pull struct{ plain }

func newPull(s *Socket) pattern { return &pull{plain{s}} }

// dealer does both (RFC 28).
type dealer struct{ robin }

func newDealer(s *Socket) pattern { return &dealer{robin{plain: plain{s}}} }
