//go:build linux && !coop_portable

package engineio

const portable = false
