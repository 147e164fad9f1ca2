// Package msgpack turns JSON text with binary values beside it into msgpack, and back, in passes over
// the bytes: no values are built in between, and the keys of objects keep their order.
//
// The JSON side is the hub's form of a payload: each binary value stands in the text as
// {"_placeholder":true,"num":k} and is the kth of a list. The msgpack side is the dialect of
// socket.io-msgpack-parser 3, which bundles notepack.io 2.2. Its extensions are its own:
//
//	d4 00 xx            undefined: left out of objects, null in arrays, as JSON.stringify does it
//	d7 00 and 8 bytes   a Date in milliseconds: an ISO string, as JSON.stringify does it
//	c7, c8, c9, type 0  the bytes of an ArrayBuffer or a typed array
//	any other           an array of the type and the bytes
//
// Whatever comes, [Reader.JSON] takes time and memory in proportion to it: nesting and the number of
// binary values are bounded, and no announced size is believed.
package msgpack
