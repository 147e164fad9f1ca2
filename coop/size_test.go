package coop_test

import (
	"testing"

	"greenroom/coop"
)

// Go has a size class of 320 bytes; the next is 352. What few greenlets have goes behind a pointer.
func TestGreenletStaysSmall(t *testing.T) {
	if coop.GreenletSize > 320 {
		t.Errorf("a greenlet takes %d bytes", coop.GreenletSize)
	}
}
