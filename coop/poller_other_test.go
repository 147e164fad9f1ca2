//go:build !linux || coop_portable

package coop_test

const onDescriptors = false
