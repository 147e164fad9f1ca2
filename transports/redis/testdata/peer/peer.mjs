// A Node.js node of a Socket.IO cluster with the official Redis adapters, and official clients of any node, driven by
// lines of JSON on stdin; answers and what clients see are lines of JSON on stdout. It ends with its stdin.
//
//   {"id":1,"do":"node","redis":"redis://…","adapter":"classic","options":{…},"namespaces":["/"],"server":{…}}
//     starts the node and answers {"url":"http://127.0.0.1:…"}. redis may be redis+cluster://host:port,…; adapter: classic, sharded, streams or none; options are
//     the adapter's, server those of socket.io's Server. Every socket gets `socket.data = auth.data`, joins
//     `auth.rooms`, and serves the events join(room, ack), leave(room, ack), say(rooms, ...event) and data(value, ack).
//     The event `sse` of other nodes is answered with "node:" and its arguments.
//   {"id":2,"do":"client","name":"a","url":"http://…","nsp":"/","options":{…},"answer":"(event, ...args) => …"}
//     connects a client, over WebSocket unless options say otherwise, and answers with its id. What it receives comes
//     as {"client":"a","got":[event, ...args]}, its states as {"client":"a","state":"connect"|"disconnect",…}. answer
//     is JavaScript for the acks it gives; undefined gives none.
//   {"id":3,"do":"run","code":"io.to('a').emit('hello')"}
//     runs JavaScript, an expression or statements, and answers with its value when that has settled. It sees io, emitter (of @socket.io/redis-emitter),
//     redis (a connection of its own), clients (by name) and ready (a
//     function that waits until the adapter's subscriptions so far are there), and may use await and return.
//   {"id":4,"do":"close"}
//     closes the node, as an orderly shutdown does.
//
// Answers are {"id":1,"ok":value} or {"id":1,"error":"…"}. Where JSON lacks a value, there is an object instead:
// {"$bin":"base64"}, {"$date":ms}, {"$undefined":true}, {"$number":"-0"|"NaN"|"Infinity"|"-Infinity"}.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { createAdapter as classic, createShardedAdapter as sharded } from "@socket.io/redis-adapter";
import { createAdapter as streams } from "@socket.io/redis-streams-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient, createCluster } from "redis";

// Redis may be away for longer than its client lets a command wait (5 s). The adapter's publications are promises that
// nobody looks at, and Node.js would end the process.
process.on("unhandledRejection", (err) => console.error("unhandled:", err?.message ?? err));

let io, emitter, redis;
const clients = {};
const links = [];
const subscribing = []; // promises of connections to a Cluster

const pack = (v) => {
  if (v === undefined) return { $undefined: true };
  if (typeof v === "number" && (!Number.isFinite(v) || Object.is(v, -0))) return { $number: Object.is(v, -0) ? "-0" : String(v) };
  if (v === null || typeof v !== "object") return v;
  if (v instanceof Date) return { $date: v.getTime() };
  if (v instanceof ArrayBuffer) return { $bin: Buffer.from(v).toString("base64") };
  if (ArrayBuffer.isView(v)) return { $bin: Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString("base64") };
  if (v instanceof Error) return { $error: v.message };
  if (v instanceof Set) return [...v].map(pack);
  if (Array.isArray(v)) return Array.from(v, pack);
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, pack(x)]));
};

const unpack = (v) => {
  if (v === null || typeof v !== "object") return v;
  if (Array.isArray(v)) return v.map(unpack);
  if (v.$bin !== undefined) return Buffer.from(v.$bin, "base64");
  if (v.$date !== undefined) return new Date(v.$date);
  if (v.$undefined !== undefined) return undefined;
  if (v.$number !== undefined) return Number(v.$number);
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, unpack(x)]));
};

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

async function link(url) {
  if (url.startsWith("redis+cluster://")) {
    const rootNodes = url.slice("redis+cluster://".length).split(",").map((addr) => ({ url: "redis://" + addr }));
    const c = noting(createCluster({ rootNodes }));
    await c.connect();
    return c;
  }
  const c = createClient({ url });
  c.on("error", () => {}); // Redis may be away: that is what some tests are about
  await c.connect();
  links.push(c);
  return c;
}

// noting keeps the promises of subscriptions to a Cluster, also of connections that an adapter makes for itself.
function noting(c) {
  c.on("error", () => {});
  for (const name of ["subscribe", "sSubscribe"]) {
    const original = c[name].bind(c);
    c[name] = (...args) => {
      const done = original(...args);
      subscribing.push(done.catch(() => {}));
      return done;
    };
  }
  const duplicate = c.duplicate.bind(c);
  c.duplicate = (...args) => noting(duplicate(...args));
  return c;
}

// ready waits until Redis has done what its connections were told so far: the adapters do not wait for that.
async function ready() {
  await Promise.all(links.map((c) => c.ping()));
  await Promise.all(subscribing.splice(0));
}

async function adapterOf(kind, url, options = {}) {
  if (kind === "none") return undefined;
  const pub = await link(url);
  switch (kind) {
    case "classic":
      return classic(pub, await link(url), options);
    case "sharded":
      return sharded(pub, await link(url), options);
    case "streams":
      return streams(pub, options);
  }
  throw new Error(`no adapter ${kind}`);
}

function serve(nsp) {
  nsp.on("connection", (socket) => {
    const auth = socket.handshake.auth;
    if (auth.data !== undefined && !socket.recovered) socket.data = auth.data;
    if (auth.rooms && !socket.recovered) socket.join(auth.rooms);
    socket.on("join", (room, ack) => { socket.join(room); ack?.("ok"); });
    socket.on("leave", (room, ack) => { socket.leave(room); ack?.("ok"); });
    socket.on("say", (rooms, ...event) => socket.to(rooms).emit(...event));
    socket.on("data", (value, ack) => { socket.data = value; ack?.("ok"); });
  });
  nsp.on("sse", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    tell({ sse: pack(args), nsp: nsp.name });
    ack?.(["node", ...args]);
  });
}

const commands = {
  async node({ redis: url, adapter, options, namespaces = ["/"], server = {} }) {
    const http = createServer();
    if (url) {
      redis = await link(url);
      emitter = new Emitter(await link(url), options?.key ? { key: options.key } : {});
    }
    io = new Server(http, { adapter: await adapterOf(adapter, url, options), ...server });
    for (const name of namespaces) serve(io.of(name.startsWith("/^") ? new RegExp(name.slice(1)) : name));
    await ready();
    await new Promise((done) => http.listen(0, "127.0.0.1", done));
    return { url: `http://127.0.0.1:${http.address().port}` };
  },

  client({ name, url, nsp = "/", options = {}, answer }) {
    const answerTo = answer ? eval(answer) : () => undefined;
    const c = connect(url + nsp, { transports: ["websocket"], forceNew: true, ...options });
    clients[name] = c;
    c.onAny((...event) => {
      const ack = typeof event.at(-1) === "function" ? event.pop() : undefined;
      tell({ client: name, got: pack(event) });
      const value = answerTo(...event);
      if (ack && value !== undefined) ack(value);
    });
    c.on("disconnect", (reason) => tell({ client: name, state: "disconnect", reason }));
    return new Promise((done, failed) => {
      c.on("connect", () => {
        tell({ client: name, state: "connect", sid: c.id, recovered: c.recovered });
        done({ id: c.id, recovered: c.recovered });
      });
      c.on("connect_error", (err) => {
        tell({ client: name, state: "connect_error", reason: err.message });
        if (!c.active) failed(err);
      });
    });
  },

  run({ code, args }) {
    const AsyncFunction = (async () => {}).constructor;
    const compile = (body) => new AsyncFunction("io", "emitter", "redis", "clients", "ready", "args", body);
    let fn;
    try {
      fn = compile(`return (${code}\n)`); // an expression
    } catch {
      fn = compile(code);
    }
    return fn(io, emitter, redis, clients, ready, unpack(args ?? []));
  },

  async close() {
    await io.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command.do](command))
    .then(
      (ok) => tell({ id: command.id, ok: plain(ok) }),
      (err) => tell({ id: command.id, error: String(err?.message ?? err) }),
    );
}

// What some calls return can be no JSON: a Server, a socket.
function plain(v) {
  if (v === io || v === emitter || typeof v === "function") return null;
  if (v === undefined) return null;
  try {
    return pack(v);
  } catch {
    return null;
  }
}

for (const c of Object.values(clients)) c.disconnect();
process.exit(0);
