// Package examples holds programs that use coop on its own; each folder is one. The package has no
// code, only the test that runs them.
package examples
