package guard

import "sync"

const (
	// blockBytes is what a sender writes at once. Larger writes save few system calls and leave the caches.
	blockBytes = 64 << 10
	// keepBlocks is how long a sender's list of blocks may stay.
	keepBlocks = 64
)

// blocks are those that were written; all senders share them.
var blocks = sync.Pool{New: func() any { return new([blockBytes]byte) }}

func newBlock() []byte { return blocks.Get().(*[blockBytes]byte)[:0] }

// freeBlocks gives back those of them that came from newBlock and did not grow, and others of their size.
func freeBlocks(list [][]byte) {
	for _, b := range list {
		if cap(b) == blockBytes {
			blocks.Put((*[blockBytes]byte)(b[:blockBytes]))
		}
	}
}
