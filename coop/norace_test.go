//go:build !race

package coop_test

const raceEnabled = false
