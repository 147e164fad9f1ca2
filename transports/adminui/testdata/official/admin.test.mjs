// Says what the pages of the Admin UI say, and looks at what they look at, at a server of ours and at the Node.js one:
// what is asserted here holds for both.
import assert from "node:assert/strict";
import test from "node:test";
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";

const within = 30_000;
const parser = { msgpack: msgpackParser }[process.env.GREENROOM_PARSER];
const transports = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] }[process.env.GREENROOM_TRANSPORT];
const options = { transports, parser, forceNew: true, reconnection: false };
const admin = (auth) => io(process.env.GREENROOM_URL + "/admin", { ...options, withCredentials: true, auth });

const soon = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: nothing within ${within} ms`)), within); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const once = (socket, event) => soon(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), event);

/** Everything that comes, but of the administrators' own namespace. */
function watch(socket) {
  const seen = [];
  const waiting = new Set();
  socket.onAny((...event) => {
    seen.push(event);
    waiting.forEach((look) => look());
  });
  seen.find = (what, fits) => soon(new Promise((resolve) => {
    const look = () => {
      const found = Array.prototype.find.call(seen, fits);
      if (found) {
        waiting.delete(look);
        resolve(found);
      }
    };
    waiting.add(look);
    look();
  }), what);
  seen.event = (...head) => seen.find(JSON.stringify(head), (event) => head.every((x, i) => {
    try {
      assert.deepEqual(event[i], x);
      return true;
    } catch {
      return false;
    }
  }));
  return seen;
}

test("the pages' conversation", async (t) => {
  const open = [];
  t.after(() => open.forEach((socket) => socket.disconnect()));
  const connect = (socket) => (open.push(socket), socket);

  const stranger = connect(admin({ username: "admin", password: "wrong" }));
  const [err] = await once(stranger, "connect_error");
  assert.equal(err.message, "invalid credentials");
  const late = connect(admin({ sessionId: "0123456789abcdef" }));
  assert.equal((await once(late, "connect_error"))[0].message, "invalid credentials");

  const ui = connect(admin({ username: "admin", password: "sesame" }));
  const seen = watch(ui);
  const [, sessionId] = await seen.event("session");
  assert.match(sessionId, /^[0-9a-f]{16}$/);
  const [, config] = await seen.event("config");
  assert.deepEqual(config, {
    supportedFeatures: ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT", "AGGREGATED_EVENTS", "ALL_EVENTS"],
  });
  await seen.event("all_sockets");

  const client = connect(io(process.env.GREENROOM_URL, { ...options, auth: { token: "secret" }, query: { x: "1" } }));
  await once(client, "connect");
  const { id } = client;
  // The Node.js server has msgpack carry a Date as such.
  const [, socket, date] = await seen.find("socket_connected", ([name, s]) => name === "socket_connected" && s.id === id);
  assert.match(date.toISOString?.() ?? date, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(Object.keys(socket).sort(), ["clientId", "data", "handshake", "id", "nsp", "rooms", "transport"]);
  assert.deepEqual(Object.keys(socket.handshake).sort(), ["address", "headers", "issued", "query", "secure", "time", "url", "xdomain"]);
  assert.equal(socket.clientId.length, 12);
  assert.equal(socket.nsp, "/");
  assert.deepEqual(socket.data, {});
  assert.deepEqual(socket.rooms, [id]);
  assert.equal(socket.transport, transports[0]);
  assert.match(socket.handshake.address, /127\.0\.0\.1$/);
  assert.equal(socket.handshake.query.x, "1");
  assert.equal(typeof socket.handshake.headers.host, "string");
  assert.equal(socket.handshake.secure, false);
  assert.equal(socket.handshake.xdomain, false);
  assert.ok(Math.abs(socket.handshake.issued - new Date(socket.handshake.time)) < 1000);
  assert.ok(!JSON.stringify(socket).includes("secret"));
  if (transports.length > 1) {
    await seen.find("the upgrade", ([name, s]) => name === "socket_updated" && s.id === id && s.transport === "websocket");
  }

  const call = (...args) => client.timeout(within).emitWithAck(...args);
  await call("data", { n: 1 });
  await seen.find("data", ([name, s]) => name === "socket_updated" && s.id === id && s.data?.n === 1);
  await call("join", "roomX");
  await seen.event("room_joined", "/", "roomX", id);
  await call("yo");
  if (transports[0] !== "polling") { // with polling what is shown may be dropped, or the change of transport be under way
    await seen.event("event_received", "/", id, ["yo"]);
    await seen.event("event_sent", "/", id, ["yo", 1]);
  }

  const news = once(client, "news");
  ui.emit("emit", "/", "roomX", "news", { a: 1 }, Buffer.from("b"));
  assert.deepEqual(await news, [{ a: 1 }, Buffer.from("b")]);
  const all = once(client, "all");
  ui.emit("emit", "/", undefined, "all");
  assert.deepEqual(await all, []);
  ui.emit("join", "/", "roomY", id);
  await seen.event("room_joined", "/", "roomY", id);

  const again = watch(connect(admin({ sessionId }))); // the page is loaded anew
  const [, sockets] = await again.event("all_sockets");
  const mine = sockets.find((s) => s.id === id);
  assert.deepEqual([mine.rooms.sort(), mine.data, mine.clientId], [[id, "roomX", "roomY"].sort(), { n: 1 }, socket.clientId]);
  assert.equal(Array.prototype.find.call(again, ([name]) => name === "session"), undefined);

  ui.emit("leave", "/", "roomY"); // whoever is in it
  ui.emit("leave", "/", "roomY", "roomY");
  await seen.event("room_left", "/", "roomY", id);
  const [, stats] = await seen.find("server_stats", ([name, s]) => name === "server_stats" && s.namespaces.find((n) => n.name === "/").socketsCount === 1);
  assert.deepEqual(Object.keys(stats).sort(), ["aggregatedEvents", "clientsCount", "hostname", "namespaces", "pid", "pollingClientsCount", "serverId", "uptime"]);
  assert.equal(stats.serverId, "here");
  assert.deepEqual(stats.namespaces.map((n) => n.name), ["/", "/admin"]);
  assert.ok(stats.clientsCount >= 2 && stats.pollingClientsCount <= stats.clientsCount);
  const types = ["rawConnection", "rawDisconnection", "packetsIn", "packetsOut", "bytesIn", "bytesOut"];
  assert.ok(stats.aggregatedEvents.every((e) => types.includes(e.type) && e.timestamp % 1000 === 0 && e.count > 0));

  const end = once(client, "disconnect");
  ui.emit("_disconnect", "/", false, id);
  assert.equal((await end)[0], "io server disconnect");
  await seen.event("socket_disconnected", "/", id, "server namespace disconnect");
  await seen.event("room_left", "/", "roomX", id);
  await seen.event("room_left", "/", id, id);
  assert.ok(!Array.prototype.some.call(seen, (e) => e[0].startsWith("event_") && e[1] === "/admin"));
});
