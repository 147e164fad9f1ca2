// Package examples holds programs that use coop on its own; each folder is one. The package has no
// code, only the test that runs them. The folder drivers is a module of its own, for what it depends on.
package examples
