// The server of scenario.mjs on Node.js, which Greenroom's is compared with; clients_app_test.go says the same. It
// prints the addresses of its five servers as a line of JSON.
import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";

const clean = (rooms, id) => [...rooms].filter((room) => room !== id).sort();

/** Whom a client wants to reach: {from: "socket"?, to: [], except: [], volatile, plain, local}. */
function target(socket, { from, to = [], except = [], ...flags }) {
  let operator = (from === "socket" ? socket.broadcast : socket.nsp.to([])).to(to).except(except);
  if (flags.volatile) operator = operator.volatile;
  if (flags.plain) operator = operator.compress(false);
  if (flags.local) operator = operator.local;
  return operator;
}

/** The session that everything is asked of. told is where its end is told: everybody in the room "watch" there. */
const session = (told) => (socket) => {
  const { handshake, nsp } = socket;
  const heard = [], said = [], lost = new Set();
  socket.use(([event], next) => next(event === "forbidden" ? new Error("forbidden") : undefined));
  socket.on("error", () => {});
  socket.onAny((event, ...args) => heard.push([event, ...args.filter((x) => typeof x !== "function")]));
  socket.onAnyOutgoing((...event) => said.push(event));
  socket.emit("hello", socket.id, handshake.auth, socket.recovered, clean(socket.rooms, socket.id), socket.data);
  const on = (event, fn) => socket.on(event, fn);

  on("message", (...args) => socket.send(...args));
  on("ack", (...args) => args.pop()(...args));
  on("ack twice", (answer) => (answer("first"), answer("second")));
  on("lose once", (key, answer) => (lost.has(key) ? answer(key) : lost.add(key)));
  on("silent", () => {});
  on("whoami", (answer) => {
    const { t, sid, ...query } = handshake.query;
    answer({
      id: socket.id, nsp: nsp.name, connected: socket.connected, auth: handshake.auth, query, test: handshake.headers["x-test"] ?? "",
      address: handshake.address, xdomain: handshake.xdomain, secure: handshake.secure, path: handshake.url.split("?")[0],
      transport: socket.conn.transport.name,
    });
  });
  on("heard", (answer) => answer(heard, said));
  on("data", (value, answer) => (Object.assign(socket.data, value), answer()));
  on("join", (room, answer) => (socket.join(room), answer(clean(socket.rooms, socket.id))));
  on("leave", (room, answer) => (socket.leave(room), answer(clean(socket.rooms, socket.id))));
  on("emit", (to, ...event) => target(socket, to).emit(...event));
  on("direct", (flags, ...event) => (flags.volatile ? socket.volatile : flags.plain ? socket.compress(false) : socket).emit(...event));
  on("reserved", (event, answer) => {
    try {
      socket.emit(event);
      answer("sent");
    } catch {
      answer("refused");
    }
  });
  on("fence", (n) => nsp.emit("fence", n));
  on("ask me", (within, ...args) => {
    const answer = args.pop();
    socket.timeout(within).emit("question", ...args, (error, ...got) => answer(error?.message ?? null, ...got));
  });
  on("ask", (to, within, ...args) => {
    const answer = args.pop();
    target(socket, to).timeout(within).emit("question", ...args, (error, got) => answer(error?.message ?? null, got));
  });
  on("list", (to, answer) => target(socket, to).fetchSockets().then((list) => answer(list.map((s) => (
    { id: s.id, rooms: clean(s.rooms, s.id), data: s.data, auth: s.handshake.auth }))), console.error));
  on("move", (to, join, leave, answer) => {
    if (join) target(socket, to).socketsJoin(join);
    if (leave) target(socket, to).socketsLeave(leave);
    answer();
  });
  on("kick", (to, close) => target(socket, to).disconnectSockets(close));
  on("disconnect me", (close) => socket.disconnect(close));
  on("parents", (...event) => families.forEach((parent) => parent.emit(...event)));
  on("shut down", () => io.closing.close());
  socket.on("disconnecting", (reason) => (said.reason = [reason, clean(socket.rooms, socket.id)]));
  socket.on("disconnect", (reason) => told.to("watch").emit("left", socket.id, nsp.name, reason, ...said.reason));
};

let families = [];

function app(server, told) {
  const talk = session(told);
  for (const name of ["/", "/custom", "/é"]) server.of(name).on("connection", talk);
  server.of("/guarded").on("connection", talk).use(({ handshake: { auth } }, next) => {
    if (auth.token === "good") return next();
    const error = new Error("nope");
    if (auth.with === "object") error.data = { code: "E", list: [1, null] };
    if (auth.with === "list") error.data = [1, "two"];
    if (auth.with === "text") error.data = "é€😀";
    next(error);
  });
  server.of("/prepared").on("connection", talk).use((socket, next) => {
    socket.join("early");
    socket.data.from = "middleware";
    setTimeout(next, 30);
  }).use((socket, next) => (socket.data.second = [...socket.rooms].includes("early"), next()));
  const games = server.of(/^\/game-\d+$/);
  games.on("connection", talk);
  games.use(({ handshake: { auth } }, next) => next(auth.token === "bad" ? new Error("not here") : undefined));
  const asked = server.of((name, auth, next) => next(null, name.startsWith("/asked-") && auth.key === "k"));
  asked.on("connection", talk);
  return [games, asked];
}

const usual = { allowEIO3: true, pingInterval: 300, pingTimeout: 20_000 };
const io = {}, addresses = {};
for (const [name, options] of Object.entries({
  plain: {},
  full: { connectionStateRecovery: {}, perMessageDeflate: true },
  hasty: { pingTimeout: 1000 },
  closing: {},
  strict: { allowEIO3: false },
})) {
  const http = createServer();
  io[name] = new Server(http, { ...usual, ...options });
  const parents = app(io[name], io[name === "full" ? "full" : "plain"].of("/"));
  if (name === "plain") families = parents;
  await once(http.listen(0, "127.0.0.1"), "listening");
  addresses[name] = "http://127.0.0.1:" + http.address().port;
}
console.log(JSON.stringify(addresses));
