//go:build linux && !coop_portable

package socketio

const portable = false
