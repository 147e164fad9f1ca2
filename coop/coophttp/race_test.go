//go:build race

package coophttp_test

const race = true
