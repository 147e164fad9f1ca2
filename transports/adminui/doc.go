// Package adminui lets the official Socket.IO Admin UI look at a hub and act on it. It is the server's side of the npm
// package @socket.io/admin-ui, whose pages (its folder ui/dist, or https://admin.socket.io) connect to a namespace of
// their own:
//
//	h, err := hub.New(hub.Options{})
//	…
//	srv := socketio.New(h, socketio.Options{Engine: engineio.Options{
//		CORS: engineio.CORS{AllowedOrigins: []string{"https://admin.socket.io"}, Credentials: true},
//	}})
//	admin, err := adminui.New(h, adminui.Options{
//		Username: "admin",
//		Hash:     os.Getenv("ADMIN_HASH"), // of bcrypt: htpasswd -nBC 12 admin
//		Engines:  []*engineio.Server{srv.Engine()},
//	})
//
// The pages always ask with credentials, so CORS must allow their origin with them, unless they come from the server's
// own origin.
//
// # What it shows
//
// Every [Options.Interval] the number of connections and of sessions in each namespace, and what has come and gone
// since. In the mode [Development], which is the default as in Node.js, also every session with its rooms, data and
// first request, and every event that comes in or goes out, as it happens. [Production] is for servers with many clients:
// it shows the numbers only, and joins, leaves and disconnects as well, if one knows whom.
//
// # What it costs
//
// While no administrator is connected, a comparison for what happens in the hub, and for each message to or from a
// client a lock that is hardly ever contended, and the time of day, to count it. In Development every event is encoded once more for all administrators, up to [Options.EventRate]. With an
// adapter it is sent to the other nodes, where administrators may be, whether there are any or not.
//
// Development remembers the sessions of clients that connect after [New], so call it before the server listens.
//
// # Who may log in
//
// The user name and the password whose bcrypt hash is in [Options]; the browser then keeps an id of a login, good for
// [Options.SessionTime], on this node. Comparing a password takes a core for a tenth of a second or more, so it is
// done on a goroutine, by two at a time, and only for so many attempts: five at once from an address and one more
// each two seconds, ten at once and two a second from all. An attack by many addresses can so keep administrators from logging in; a
// login that they have already goes on to work.
//
// Who is logged in can do what the pages offer, in every namespace, and read what clients send. [Options.ReadOnly]
// leaves it at looking. Each command is logged.
//
// # Limits
//
//	what                                bound                         beyond it
//	events shown                        EventRate a second and loop   not shown
//	one event shown                     8 KiB                         its arguments are left out
//	a session's data                    8 KiB                         left out
//	a header, or the first URL          1 KiB                         cut
//	sessions shown to a newcomer        half of hub's OutboxBytes     not shown
//	namespaces with their sizes         1000                          the smaller ones are not shown
//	logins remembered                   1000                          the oldest are forgotten
//	addresses whose attempts count      10 000                        the longest quiet are forgotten
//
// With recovery an event that is sent has its offset as one more argument, which is shown, as in Node.js.
//
// Events shown are volatile: an administrator who does not keep up misses some, and others wait for nobody. Everything
// else is subject to the hub's SlowConsumer; the pages come back by themselves and are told everything anew.
//
// The hub's counters have what acts:
//
//	adminui_command_refused   a command that makes no sense, or is not offered
//	adminui_event_dropped     an event not shown because of EventRate
//	adminui_login             somebody logged in
//	adminui_login_busy        a password not compared because others are
//	adminui_login_failed      a wrong user name or password, or a login that has expired
//	adminui_login_limited     a password not compared because of too many attempts
//	adminui_sessions_omitted  a newcomer was not told of all sessions
//
// # Differences from the Node.js server
//
// Nothing is shown of the namespace of the administrators, but for its size. Headers that hold secrets (Cookie,
// Authorization) are shown as "[hidden]", and a connection is named by a hash instead of a part of its id, which is a
// secret. Binary values in events are shown by their size. Times are texts, also in msgpack, where Node.js sends Dates.
// The id of a login comes right behind the connection. Changes of a session's data are shown if they were made by
// [hub.Session.SetData]. Of other nodes' sessions the data is not shown to newcomers, unless it is JSON.
package adminui
