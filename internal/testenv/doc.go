// Package testenv starts what integration tests need beside Go: server processes, Node.js with npm
// packages, a Python with pyzmq. It is for tests only.
//
// Everything it starts belongs to the test that asked for it and has ended, process and goroutines,
// when that test's cleanup is over, so that goleak has nothing to find.
//
// A test that needs Node.js, npm, Python or pyzmq on a machine that has none is skipped with a sentence that says
// what to install. Where $GREENROOM_REQUIRE_PEERS is set, as in continuous integration, it fails with the same
// sentence, so that nothing is left out there in silence.
package testenv
