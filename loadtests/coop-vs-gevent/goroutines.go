package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func goHandOff(n int) (float64, error) {
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	defer close(there)
	return clocked(n, func() {
		for i := range n / 2 {
			there <- i
			<-back
		}
	}), nil
}

func goYield(n, goroutines int) (float64, error) {
	return clocked(n, func() {
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range n / goroutines {
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
	}), nil
}

func goSpawn(n int) (float64, error) {
	return clocked(n, func() {
		for range n {
			done := make(chan struct{})
			go close(done)
			<-done
		}
	}), nil
}

func goSpawnMany(n int) (float64, error) {
	return clocked(n, func() {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {})
		}
		wg.Wait()
	}), nil
}

func goQueue(n int) (float64, error) {
	there, back := make(chan int, 16), make(chan int, 16)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	defer close(there)
	return clocked(n, func() {
		for i := range n {
			there <- i
			<-back
		}
	}), nil
}

func goFuture(n int) (float64, error) {
	return clocked(n, func() {
		for range n {
			f := make(chan int, 1)
			go func() { f <- 1 }()
			<-f
		}
	}), nil
}

func goParked(n int) (float64, error) {
	ready := make(chan struct{})
	return grown(n, func() {
		var wg sync.WaitGroup
		for range n {
			wg.Add(1)
			go func() {
				wg.Done()
				<-ready
			}()
		}
		wg.Wait()
		time.Sleep(50 * time.Millisecond) // until they wait
	})
}

func goWoken(n int, then func()) float64 {
	ready, done := make(chan struct{}), make(chan struct{})
	var left atomic.Int64
	left.Store(int64(n))
	var began sync.WaitGroup
	for range n {
		began.Add(1)
		go func() {
			began.Done()
			<-ready
			if left.Add(-1) == 0 {
				close(done)
			}
			then()
		}()
	}
	began.Wait()
	time.Sleep(50 * time.Millisecond) // until they wait
	return clocked(n, func() {
		close(ready)
		<-done
	})
}

func goEventSet(n int) (float64, error) {
	never := make(chan struct{})
	return goWoken(n, func() { <-never }), nil
}

func goAsleep() {
	var wg sync.WaitGroup
	for i := range sleeping {
		wg.Add(1)
		go func() {
			wg.Done()
			time.Sleep(time.Hour + time.Duration(i)*time.Millisecond)
		}()
	}
	wg.Wait()
	time.Sleep(50 * time.Millisecond) // until they sleep
}

func goSleep(n int) (float64, error) {
	goAsleep()
	return goWoken(n, func() { time.Sleep(time.Hour) }), nil
}

func goTimeout(n int) (float64, error) {
	goAsleep()
	nothing := func() {}
	return clocked(n, func() {
		for range n {
			time.AfterFunc(time.Hour, nothing).Stop()
		}
	}), nil
}
