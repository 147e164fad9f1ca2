//go:build race

package socketio

// raceDetector is on: it ends the program above some 8 000 goroutines, and greenlets count.
const raceDetector = true
