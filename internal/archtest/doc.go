// Package archtest holds the test that keeps imports pointing one way:
//
//	cmd → transports, web, loadtests → hub → coop
//
// It has no code of its own.
package archtest
