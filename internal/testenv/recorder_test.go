package testenv

import (
	"fmt"
	"runtime"
	"testing"
)

// recorder is a test that is expected to fail.
type recorder struct {
	testing.TB
	failure  string
	skipped  string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(fn func())   { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Fatal(args ...any) {
	r.failure = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
