// Package redis joins the hubs of many nodes to one over Redis, in the formats of the official Node.js packages, so that
// Greenroom nodes and Node.js nodes are one cluster.
package redis
