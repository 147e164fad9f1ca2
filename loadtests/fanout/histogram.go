package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are 1/32 of their value wide, from 1 µs to hours, without
// allocating.
type histogram struct {
	counts [1024]uint64
	total  uint64
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 32 {
		return int(us)
	}
	shift := bits.Len64(us) - 6
	return min(shift*32+int(us>>shift), len(histogram{}.counts)-1)
}

// valueOf is the lower edge of a bucket.
func valueOf(bucket int) time.Duration {
	if bucket < 32 {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket/32 - 1
	return time.Duration(uint64(bucket-shift*32)<<shift) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
}

// quantile returns the value that the share q of all durations does not exceed, within 3 %.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint64(float64(h.total) * q)
	for i, n := range h.counts {
		if n > left {
			return valueOf(i)
		}
		left -= n
	}
	return 0
}
