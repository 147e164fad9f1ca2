package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// A row is one operation of the table.
type row struct {
	key    string
	name   string
	n      int // how many operations, or greenlets
	format func(float64) string

	goSides map[string]func(n int) (float64, error)
}

const crowd = 1000 // greenlets that yield to each other

var sleeping = 100_000 // greenlets asleep in the rows of timers; rows.py has the same number, tests have fewer

var rows = []row{
	{"yield2", "yield, 2 greenlets (goroutines: a value through a channel)", 400_000, nanoseconds, map[string]func(int) (float64, error){
		"coop":       func(n int) (float64, error) { return coopYield(n, 2) },
		"goroutines": goHandOff,
		"iter.Pull":  func(n int) (float64, error) { return pullNext(n, 2) },
	}},
	{"yield1000", "yield, 1 000 greenlets (goroutines: Gosched)", 400_000, nanoseconds, map[string]func(int) (float64, error){
		"coop":       func(n int) (float64, error) { return coopYield(n, crowd) },
		"goroutines": func(n int) (float64, error) { return goYield(n, crowd) },
		"iter.Pull":  func(n int) (float64, error) { return pullNext(n, crowd) },
	}},
	{"spawn", "spawn and join, one after the other", 100_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopSpawn, "goroutines": goSpawn, "iter.Pull": pullSpawn,
	}},
	{"spawnmany", "spawn 100 000 and join all, each", 100_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopSpawnMany, "goroutines": goSpawnMany, "iter.Pull": pullSpawnMany,
	}},
	{"queue", "a value through a queue and one back", 100_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopQueue, "goroutines": goQueue,
	}},
	{"future", "spawn one that sets a future, wait for it", 100_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopFuture, "goroutines": goFuture,
	}},
	{"parked10k", "memory of one parked, of 10 000", 10_000, kilobytes, map[string]func(int) (float64, error){
		"coop": coopParked, "goroutines": goParked, "iter.Pull": pullParked,
	}},
	{"parked100k", "memory of one parked, of 100 000", 100_000, kilobytes, map[string]func(int) (float64, error){
		"coop": coopParked, "goroutines": goParked, "iter.Pull": pullParked,
	}},
	{"eventset", "an event wakes 100 000, each (goroutines: close of a channel)", 100_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopEventSet, "goroutines": goEventSet, "iter.Pull": pullEach,
	}},
	{"sleep", "one is woken and goes to sleep, 100 000 asleep", 10_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopSleep, "goroutines": goSleep,
	}},
	{"timeout", "a timeout begins and ends, 100 000 asleep", 50_000, nanoseconds, map[string]func(int) (float64, error){
		"coop": coopTimeout, "goroutines": goTimeout,
	}},
}

func rowOf(key string) *row {
	for i := range rows {
		if rows[i].key == key {
			return &rows[i]
		}
	}
	return nil
}

// clocked is how many nanoseconds of processor time fn takes for each of n, the garbage collector's among
// them. Unlike the time on the wall it is much the same when others use the machine too.
func clocked(n int, fn func()) float64 {
	began := cpuTime()
	fn()
	return float64((cpuTime() - began).Nanoseconds()) / float64(n)
}

// grown is how many bytes of memory the process has more after fn, for each of n, without what a garbage
// collection gives back to the system.
func grown(n int, fn func()) (float64, error) {
	before, err := resident()
	if err != nil {
		return 0, err
	}
	fn()
	after, err := resident()
	return float64(after-before) / float64(n), err
}

func resident() (int, error) {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, errors.New("/proc/self/statm: not as expected")
	}
	var pages int
	_, err = fmt.Sscan(fields[1], &pages)
	return pages * os.Getpagesize(), err
}
