// Package doctest holds the tests that keep the pages in docs from naming what does not exist. It has no code of
// its own.
package doctest
