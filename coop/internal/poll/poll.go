// Package poll lets a loop sleep until a descriptor is ready, a deadline has come, or another
// goroutine wakes it. On Linux it is epoll, on macOS and the BSDs a kqueue; elsewhere (or with the build
// tag coop_portable) there are no descriptors, only deadlines and wake-ups.
package poll

// A Token comes back with every event of a descriptor. A slot is used again after its
// descriptor is gone; the generation tells a late event from one of the new owner.
type Token struct {
	Slot, Gen int32
}

// An Event says what happened to the descriptor that was added with Token.
type Event struct {
	Token
	Readable bool // data or the peer's end of it
	Writable bool // epoll says so with every event, a kqueue when it has become true
	HalfOver bool // the peer will send no more
	Over     bool // an error, or both directions are closed
}
