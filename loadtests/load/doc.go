// Package load measures what Socket.IO and Centrifuge servers cost under load.
package load
