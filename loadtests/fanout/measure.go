//go:build linux

package main

import (
	"fmt"
	"runtime"
	"time"
)

// result is one measurement. Durations are in µs, sizes in bytes.
type result struct {
	Peer    string  `json:"peer"`
	Clients int     `json:"clients"`
	Seconds float64 `json:"seconds"`
	RSS     int64   `json:"rss_bytes"`
	CPU     float64 `json:"server_cpu_percent"` // of one core

	// a room under load
	Window       int     `json:"window,omitempty"`
	Size         int     `json:"size,omitempty"`
	Rate         float64 `json:"rate,omitempty"`
	Deliveries   uint64  `json:"deliveries,omitempty"`
	PerSecond    float64 `json:"deliveries_per_second,omitempty"`
	ServerMicros float64 `json:"server_cpu_us_per_delivery,omitempty"`
	OwnMicros    float64 `json:"generator_cpu_us_per_delivery,omitempty"`
	P50Micros    int64   `json:"latency_p50_us,omitempty"`
	P99Micros    int64   `json:"latency_p99_us,omitempty"`

	// idle sessions
	BaselineRSS int64   `json:"baseline_rss_bytes,omitempty"`
	PerSession  float64 `json:"rss_bytes_per_session,omitempty"`
}

const room = "load"

// measureFanout fills one room and measures while its publisher publishes.
func measureFanout(o options, p peer) (result, error) {
	clients, err := connectAll(p.addr, o.clients, fmt.Sprintf(p.dialect.join, room))
	if err != nil {
		return result{}, err
	}
	defer closeAll(clients)
	l, err := newLoop(clients)
	if err != nil {
		return result{}, err
	}
	defer l.close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	l.publish(o, p.dialect, room)
	if err := l.runFor(o.warmUp); err != nil {
		return result{}, err
	}
	before, err := usageOf(p.pid)
	if err != nil {
		return result{}, err
	}
	own, began := ownCPU(), l.now()
	l.measuring = true
	if err := l.runFor(o.duration); err != nil {
		return result{}, err
	}
	took := l.now() - began
	ownUsed := ownCPU() - own
	after, err := usageOf(p.pid)
	if err != nil {
		return result{}, err
	}
	if l.deliveries == 0 {
		return result{}, fmt.Errorf("nothing was delivered in %s", took)
	}
	perDelivery := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(l.deliveries) }
	cpu := after.cpu - before.cpu
	return result{
		Peer: p.name, Clients: o.clients, Seconds: took.Seconds(), RSS: after.rss,
		CPU:    100 * cpu.Seconds() / took.Seconds(),
		Window: o.window, Size: o.size, Rate: o.rate, Deliveries: l.deliveries,
		PerSecond:    float64(l.deliveries) / took.Seconds(),
		ServerMicros: perDelivery(cpu), OwnMicros: perDelivery(ownUsed),
		P50Micros: l.latency.quantile(.50).Microseconds(),
		P99Micros: l.latency.quantile(.99).Microseconds(),
	}, nil
}

// warmSessions come and go before the baseline, so that it holds what a server sets up once.
const warmSessions = 50

// measureIdle connects sessions that only answer heartbeats.
func measureIdle(o options, p peer) (result, error) {
	warm, err := connectAll(p.addr, warmSessions, "")
	if err != nil {
		return result{}, err
	}
	closeAll(warm)
	base, err := usageOf(p.pid)
	if err != nil {
		return result{}, err
	}
	clients, err := connectAll(p.addr, o.clients, "")
	if err != nil {
		return result{}, err
	}
	defer closeAll(clients)
	l, err := newLoop(clients)
	if err != nil {
		return result{}, err
	}
	defer l.close()
	if err := l.runFor(o.warmUp); err != nil {
		return result{}, err
	}
	before, err := usageOf(p.pid)
	if err != nil {
		return result{}, err
	}
	began := l.now()
	if err := l.runFor(o.duration); err != nil {
		return result{}, err
	}
	took := l.now() - began
	after, err := usageOf(p.pid)
	if err != nil {
		return result{}, err
	}
	return result{
		Peer: p.name, Clients: o.clients, Seconds: took.Seconds(), RSS: after.rss, BaselineRSS: base.rss,
		CPU:        100 * (after.cpu - before.cpu).Seconds() / took.Seconds(),
		PerSession: float64(after.rss-base.rss) / float64(o.clients),
	}, nil
}
