// Package coop runs greenlets: cheap coroutines that take turns on a loop.
package coop
