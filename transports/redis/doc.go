// Package redis joins the hubs of many nodes to one over Redis, in the formats of the official Node.js packages, so that
// Greenroom nodes and Node.js nodes are one cluster.
//
// # What Greenroom nodes share beside
//
// What [hub.Relay] and [hub.Hub.Publish] promise holds for the cluster, because Redis keeps it: histories, retained values, who
// is in rooms, and the ids that publishers give their publications ([hub.SharedRooms]). A publication that is to be
// kept is one command still: a script that keeps and publishes. Plain emits are not kept.
//
//   - A history is bounded as on one node ([hub.Options].HistoryMessages and HistoryBytes, which all nodes should have
//     the same) and is forgotten HistoryTTL after the room's last publication. Its order is that in which Redis has got
//     the publications. Members hear those of their own node at once and those of others in the order of Redis: so
//     each publisher's come in its order everywhere, but of two that publish at once on two nodes not everybody hears the same
//     one first. (The streams adapter brings all in one order.)
//   - Each node has a lease, which a heartbeat renews, whatever the number of its members. When it is over, within
//     [Options].PresenceTTL after the node's death, any other node clears its members away and tells the watchers. A node that
//     was cut off for longer, or finds Redis empty, announces its members anew. One that closes says so.
//   - While Redis is away a node answers from what it has heard itself. Publications that could not be kept leave a mark:
//     a history read across it is not complete.
//
// Keys begin with [Options].Prefix and ":greenroom:", and those of rooms have a time after which Redis forgets them. Contents that are
// not Greenroom's are counted (redis_unreadable) and skipped; what could not be kept is counted (redis_unkept).
package redis
