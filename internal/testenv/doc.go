// Package testenv starts what integration tests need beside Go: server processes, Node.js with npm
// packages, a Python with pyzmq. It is for tests only.
//
// Everything it starts belongs to the test that asked for it and has ended, process and goroutines,
// when that test's cleanup is over, so that goleak has nothing to find. Whatever is missing on the
// machine fails the test with a sentence that says what to install; nothing is skipped in silence.
package testenv
