// Package coop runs greenlets: cheap coroutines that take turns on a loop.
package coop

import (
	"context"
	"errors"
	"iter"
	"net"
	"time"
)

var (
	ErrKilled   = errors.New("greenlet killed")
	ErrClosed   = errors.New("closed")
	ErrSelfJoin = errors.New("a greenlet cannot join itself")
	ErrTimeout  = errors.New("timed out")
	errNotYet   = errors.New("not built yet")
)

type TimeoutError struct{ D time.Duration }

func (e *TimeoutError) Error() string { return "timed out after " + e.D.String() }

type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "panic" }

type LoopOptions struct {
	Name      string
	Clock     Clock
	OnFailure func(g *Greenlet, err error)
	OnPanic   func(l *Loop, err *PanicError)
	MaxAwait  int
}
type LoopStats struct {
	Greenlets, Streams     int64
	Switches, Posts, Ticks uint64
}
type Loop struct{}
type Job interface{ RunOn(l *Loop) }
type Flusher interface{ Flush() }

func NewLoop(o LoopOptions) (*Loop, error)                  { return nil, errNotYet }
func (l *Loop) Start()                                      {}
func (l *Loop) Close() error                                { return errNotYet }
func (l *Loop) Spawn(fn func(*Greenlet) error) *Greenlet    { return nil }
func (l *Loop) Go(fn func(*Greenlet) error) bool            { return false }
func (l *Loop) Post(fn func()) bool                         { return false }
func (l *Loop) PostJob(j Job) bool                          { return false }
func (l *Loop) QueueFlush(f Flusher)                        {}
func (l *Loop) Now() time.Duration                          { return 0 }
func (l *Loop) Scratch() []byte                             { return nil }
func (l *Loop) Stats() LoopStats                            { return LoopStats{} }
func (l *Loop) AfterFunc(d time.Duration, fn func()) *Timer { return nil }
func (l *Loop) ID() int                                     { return 0 }
func (l *Loop) Name() string                                { return "" }

type Timer struct{}

func (t *Timer) Init(l *Loop, fn func()) {}
func (t *Timer) Reset(d time.Duration)   {}
func (t *Timer) Stop() bool              { return false }
func (t *Timer) Active() bool            { return false }

type Loops struct{}

func NewLoops(n int, o LoopOptions) (*Loops, error) { return nil, errNotYet }
func (ls *Loops) All() []*Loop                      { return nil }
func (ls *Loops) Least() *Loop                      { return nil }
func (ls *Loops) Close() error                      { return errNotYet }

type Greenlet struct{ context.Context }

func (g *Greenlet) Loop() *Loop                                        { return nil }
func (g *Greenlet) ID() uint64                                         { return 0 }
func (g *Greenlet) Name() string                                       { return "" }
func (g *Greenlet) SetName(name string)                                {}
func (g *Greenlet) Spawn(fn func(*Greenlet) error) *Greenlet           { return nil }
func (g *Greenlet) Yield() error                                       { return errNotYet }
func (g *Greenlet) Sleep(d time.Duration) error                        { return errNotYet }
func (target *Greenlet) Join(g *Greenlet) error                        { return errNotYet }
func (target *Greenlet) Kill()                                         {}
func (target *Greenlet) Ended() bool                                   { return false }
func (target *Greenlet) Result() error                                 { return nil }
func (g *Greenlet) WithTimeout(d time.Duration, fn func() error) error { return errNotYet }
func JoinAll(g *Greenlet, gs ...*Greenlet) error                       { return errNotYet }
func KillAll(g *Greenlet, gs ...*Greenlet) error                       { return errNotYet }
func Run(fn func(*Greenlet) error) error                               { return errNotYet }
func RunWith(o LoopOptions, fn func(*Greenlet) error) error            { return errNotYet }

type Clock interface {
	Now() time.Duration
	Idle(until time.Duration) bool
}
type FakeClock struct{}

func NewFakeClock() *FakeClock                     { return &FakeClock{} }
func (c *FakeClock) Now() time.Duration            { return 0 }
func (c *FakeClock) Idle(until time.Duration) bool { return true }

type Event struct{}

func NewEvent() *Event                  { return &Event{} }
func (e *Event) Set()                   {}
func (e *Event) Clear()                 {}
func (e *Event) IsSet() bool            { return false }
func (e *Event) Wait(g *Greenlet) error { return errNotYet }

type Queue[T any] struct{}

func NewQueue[T any](max int) *Queue[T]        { return &Queue[T]{} }
func (q *Queue[T]) Put(g *Greenlet, v T) error { return errNotYet }
func (q *Queue[T]) TryPut(v T) bool            { return false }
func (q *Queue[T]) Get(g *Greenlet) (T, error) { var z T; return z, errNotYet }
func (q *Queue[T]) TryGet() (T, bool)          { var z T; return z, false }
func (q *Queue[T]) Len() int                   { return 0 }
func (q *Queue[T]) Close()                     {}
func (q *Queue[T]) All(g *Greenlet) iter.Seq[T] {
	return func(yield func(T) bool) {}
}
func Await[T any](g *Greenlet, fn func() (T, error)) (T, error) { var z T; return z, errNotYet }

type StreamHandler interface {
	OnRead(s *Stream, p []byte)
	OnWritable(s *Stream)
	OnClose(s *Stream, err error)
}
type Stream struct{}

func (l *Loop) Attach(c net.Conn, h StreamHandler) (*Stream, error) { return nil, errNotYet }
func (s *Stream) Start()                                            {}
func (s *Stream) Loop() *Loop                                       { return nil }
func (s *Stream) Write(p []byte) (int, error)                       { return 0, errNotYet }
func (s *Stream) Writev(bufs [][]byte) (int, error)                 { return 0, errNotYet }
func (s *Stream) PauseRead()                                        {}
func (s *Stream) ResumeRead()                                       {}
func (s *Stream) Close()                                            {}
func (s *Stream) RemoteAddr() net.Addr                              { return nil }
