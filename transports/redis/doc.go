// Package redis joins the hubs of many nodes to one over Redis, in the formats of the official Node.js packages, so that
// Greenroom nodes and Node.js nodes are one cluster.
//
//	adapter, err := redis.New(redis.Options{URL: "redis://127.0.0.1:6379"})
//	h, err := hub.New(hub.Options{Adapter: adapter})
//
// # Where Redis is
//
//	redis://user:password@host:6379/0              one server
//	unix:///run/redis.sock?db=0                    the same, over its Unix socket
//	redis+sentinel://host:26379,host:26379/main    the server that Sentinels call the master "main"
//	redis+cluster://host:6379,host:6379            a Redis Cluster; any of its nodes will do
//
// With rediss in place of redis the connections speak TLS. What of a user or a password has a meaning in a URL is
// written with %; better is [Options.PasswordFile]. [Options.Client] takes the settings of a client of go-redis instead.
//
// # Connections
//
// Each server has one connection for commands and one for subscriptions, and a few of go-redis' pool for questions. In a
// Cluster sharded channels are subscribed at the node that owns their slot, and follow it; plain ones go through one
// node, so that the messages of a channel keep their order.
//
// # When Redis is away
//
// A node goes on alone: what it sends reaches its own clients. It connects again, after 50 ms at first and 1.5 s at most,
// at random within a factor of two; it asks a silent connection after a second, and gives it up [Options.Timeout] later.
// [Adapter.Ready] is nil again only when every subscription is confirmed. Messages wait for [Options.MessageAge] and
// within [Options.QueueCommands] and [Options.QueueBytes] of each server. What was lost is counted, in the hub's counters:
//
//	redis_too_old      a message or command waited too long
//	redis_queue_full   too much waited
//	redis_unanswered   the connection broke before the answer: it was done or not
//	redis_refused      Redis answered with an error, such as OOM or NOPERM
//	redis_closed       asked for after Close, or not sent before
//	redis_too_big      a message from Redis was longer than MaxMessage
//	redis_gap          a connection with subscriptions was lost: what others sent until it was back is missed
//	redis_reconnect    a connection was lost
//	redis_same_name    another node has this node's name
//	redis_published    a publication was not sent to other nodes: one of them had published it meanwhile, under the same id
//
// The log has one line when Redis goes away, one for each other reason that keeps it away, and one when it is back.
//
// A message is sent once and never again, so that none comes twice: go-redis' own retries are off, also in a client that
// is given.
//
// # What nodes tell each other
//
// To a Node.js node a Greenroom node is one like itself. Where the two differ:
//
//   - In Node.js the number 5 and the text "5" are two rooms, here they are one. Who joins or emits to 5 there is in "5"
//     here, and what is emitted to "5" here reaches both.
//   - Values beside JSON arrive as JSON.stringify writes them: dates as texts, undefined as null or not at all. Binary
//     values stay such in events and in the answers of clients; in server events, their answers, and sessions' data, they
//     are objects {"type":"Buffer","data":[…]}, as between Node.js nodes.
//   - A session of another node has its data as JSON, see [hub.Snapshot], and the handshake as that node knows it. Node.js
//     gets a handshake with all of its keys; headers of the connection itself are not among them.
//   - Nodes of Node.js do not say their names: they are called [hub.Unnamed] in answers and errors.
//   - A node without a handler for a server event answers null to a Node.js node that waits for answers, which would get
//     an error after its time otherwise; a Greenroom node is told that there was none.
//   - Rooms whose names start with "$" are Greenroom's own: requests and messages of others to them are refused.
//   - A namespace with "#" in its name stays alone on its node with the classic adapter, whose channels cannot tell it
//     from a room.
//
// What comes from others is bounded, in size, depth, number and rate. What is dropped is counted:
//
//	redis_malformed      a message is not in the format of the adapter
//	redis_forbidden      it is about a room of Greenroom's own
//	redis_request_flood  more requests came than are served
//	redis_unasked        a node has answered more than it was asked, or than is kept
//	redis_namespace      a namespace cannot be joined with those of other nodes
//
// # Names
//
// All nodes have names of their own, [hub.Options.Node]. Of two with the same the younger logs an error and is not ready
// for as long as it hears the other. For this each node publishes on the channel Prefix-greenroom#NAME every 5 s; where
// the ACL forbids that, it is left out.
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
//   - Watchers of a node that has lost messages are told, when it is ready again, who has come and gone elsewhere.
//   - While Redis is away a node answers from what it has heard itself. Publications that could not be kept leave a mark:
//     a history read across it is not complete.
//
// Keys begin with [Options].Prefix and ":greenroom:", and those of rooms have a time after which Redis forgets them. Contents that are
// not Greenroom's are counted (redis_unreadable) and skipped; what could not be kept is counted (redis_unkept).
// Of more than 100000 rooms of a namespace that retain something, some are not found by a prefix (redis_names_full).
package redis
