// What clients of Socket.IO see of a server: $CLIENT (client1 to client4) over $TRANSPORT (websocket, polling or upgrade)
// at the servers whose addresses $SERVERS has as JSON. Each chapter prints a line of JSON with what was seen, which is
// to be the same whatever the server is made of: ids have numbers in the order of their appearance, and nothing is
// in it that depends on time. The server is server.mjs, or Greenroom's of clients_app_test.go.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";

const servers = JSON.parse(process.env.SERVERS);
const { CLIENT: client, TRANSPORT: transport } = process.env;
const version = Number(client.at(-1));
const modern = version >= 3; // speaks Socket.IO 5 over Engine.IO 4
const require = createRequire(import.meta.url);
const lib = require(client);
const young = require("client4"); // for those who meet ours in a room
const ways = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };
const transports = ways[transport];
const within = Number(process.env.WITHIN ?? 30_000);

// Version 1 takes text in polling bodies for something else than the server of today does: what it says to itself
// comes back as it was, but others see other characters, and those of others break its connection.
const foreign = client === "client1" && transport === "polling" ? ["plain"] : ["é€😀", "\u2028", "plain"];

const bytes = (...list) => Buffer.from(list);
const many = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 31 + (i >> 8)) % 256));

// ---- the transcript

let lines, ids;

/** A value as the transcript has it: binary data by its bytes, ids by their numbers, keys in order. */
function canonical(v) {
  if (v instanceof ArrayBuffer || ArrayBuffer.isView(v)) {
    const b = Buffer.from(v.buffer ?? v, v.byteOffset ?? 0, v.byteLength);
    return "bytes " + (b.length > 40 ? `${b.length} ${createHash("sha1").update(b).digest("hex")}` : b.toString("hex"));
  }
  if (v instanceof Error) return { error: v.message, data: canonical(v.data) };
  if (Array.isArray(v)) return v.map(canonical);
  if (v && typeof v === "object") return Object.fromEntries(Object.keys(v).sort().map((k) => [k, k === "offset" ? "<offset>" : canonical(v[k])]));
  if (typeof v === "string") return named(v.length > 2000 ? `${v.length} ${createHash("sha1").update(v).digest("hex")}` : v);
  return v === undefined ? "undefined" : v;
}

/** Texts with their ids replaced: 20 characters by themselves, in quotes or behind a #. */
const named = (text) => text.replace(/(^|["#])([\w-]{20})(?=$|")/g, (_, before, id) => {
  if (!ids.has(id)) ids.set(id, `<${ids.size + 1}>`);
  return before + ids.get(id);
});

const log = (what, ...values) => lines.push([what, ...values.map(canonical)]);

// ---- clients

let open = [];

/** A manager, whose sockets share a connection. */
function manager(options = {}, url = servers.plain, from = lib) {
  const m = new from.Manager(url, { transports, reconnection: false, ...options });
  open.push(m);
  return m;
}

function make(nsp = "/", { auth, ...options } = {}, url, from) {
  const m = manager(options, url, from);
  const query = options.query && Object.entries(options.query).map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  return m.socket(nsp, { ...options, auth, ...(query && { query }) }); // as text, which version 1 wants
}

function next(emitter, event, fits = () => true) {
  let listener;
  const found = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${event}`)), within);
    listener = (...args) => {
      if (!fits(...args)) return;
      clearTimeout(timer);
      emitter.off(event, listener);
      resolve(args);
    };
  });
  emitter.on(event, listener);
  return found;
}

/** What the server answers, all of it. */
const call = (socket, ...args) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to ${args[0]}`)), within);
    socket.emit(...args, (...answer) => (clearTimeout(timer), resolve(answer)));
  });

/** A socket that is connected, and by its last transport; what the server said first is its hello. */
async function connected(nsp, options, url, from) {
  const socket = make(nsp, options, url, from);
  await settled(socket);
  return socket;
}

async function settled(socket) {
  const hello = next(socket, "hello");
  if (!socket.connected) await next(socket, "connect");
  socket.hello = await hello;
  const { engine } = socket.io;
  if (transport === "upgrade" && engine.transport.name !== "websocket") await next(engine, "upgrade");
  return socket;
}

/** Connects a socket again that was sent away; if it was the only one its engine has to be closed before. */
async function again(socket) {
  const { engine } = socket.io;
  if (engine.readyState === "closing") await next(engine, "close");
  const hello = next(socket, "hello");
  socket.connect();
  return (socket.hello = await hello);
}

const friend = () => connected("/", { transports: ways.websocket }, undefined, young);
const refusal = (socket) => next(socket, modern ? "connect_error" : "error").then(([e]) => e);

/** Everything that comes to some sockets of rooms, in order, until a fence behind it: read with heard. */
let fences = 0;
async function heard(socket, ...others) {
  const n = ++fences;
  const all = [socket, ...others].map((s) => next(s, "fence", (m) => m === n));
  socket.emit("fence", n);
  await Promise.all(all);
  return [socket, ...others].map((s) => s.got.splice(0));
}

/** Keeps what comes of these events. */
function keep(...sockets) {
  for (const s of sockets) {
    s.got = [];
    for (const event of ["said", "other", "message", "left"]) s.on(event, (...args) => s.got.push([event, ...args]));
  }
  return sockets;
}

/** The messages of an engine as they came, binary ones too. */
function wire(socket) {
  const got = [];
  socket.io.engine.on("data", (data) => got.push(data));
  return got;
}

/** Somebody who is told the ends of the others. */
async function watcher(url) {
  const w = await connected("/", { transports: ways.websocket }, url, young);
  await call(w, "join", "watch");
  w.end = (id) => next(w, "left", (who) => who === id).then(([, ...end]) => end);
  return w;
}

// ---- the chapters

const chapters = {};

chapters["connect"] = async () => {
  const socket = make();
  const [[handshake]] = await Promise.all([next(socket.io.engine, "handshake"), settled(socket)]);
  log("handshake", handshake);
  log("hello", socket.hello);
  log("id", modern || version === 2 ? socket.id : socket.io.engine.id);
  log("the engine's id", modern ? socket.id !== socket.io.engine.id : socket.io.engine.id);
  log("by", socket.io.engine.transport.name);
  const custom = await connected("/custom");
  log("hello", custom.hello, custom.nsp);
};

chapters["the wire"] = async () => {
  const socket = make();
  const got = wire(socket);
  await settled(socket);
  await call(socket, "join", "a");
  socket.emit("direct", {}, "said", { b: 1, a: [] }, "é", null);
  socket.emit("direct", {}, "said", bytes(1, 2), [{ deep: bytes() }]);
  log("answers", await call(socket, "ack", 1.5, "</script>", bytes(3)), await call(socket, "ack"));
  log("wire", got);
};

chapters["handshake"] = async () => {
  const socket = await connected("/", { query: { a: "1", b: " x" }, extraHeaders: { "x-test": "yes" } });
  log("whoami", await call(socket, "whoami"));
  const plain = await connected("/custom");
  log("whoami", await call(plain, "whoami"));
};

chapters["auth"] = async () => {
  if (!modern) {
    const socket = await connected("/custom", { query: { a: "1", b: " x", token: (client === "client1" ? "" : "é€😀") + "&=,?+" } });
    return log("auth", socket.hello);
  }
  for (const auth of [{}, { token: "é€😀", nested: { list: [1, null, { z: 1, a: 2 }] } }, (cb) => cb({ from: "function" })]) {
    log("auth", (await connected("/", { auth })).hello);
  }
};

const kinds = [
  [], [null, true, false, ""], [0, -0, 1, -1, 1.5, -1e-7, 1e21, 2 ** 53, 123456789012], ["é€😀", "\u2028\u2029", "\u0000\u001e", '"\\/', "\\n\n\t"],
  ["</script>&<>"], [{ z: 1, a: { b: [{}, [], [[]]] }, "": 0, "é": "ü" }], [undefined, NaN, Infinity], [new Date(0)],
  [{ _placeholder: true, num: 0 }], [{ toString: "x", constructor: null, hasOwnProperty: 1 }], [Array(40).fill(0).reduce((v) => [v], "deep")],
  ["x".repeat(100_000)], [Array.from({ length: 2000 }, (_, i) => i)], ["ü".repeat(30_000)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  ...(modern ? [["\ud800 alone"]] : []),
];

chapters["events of all kinds"] = async () => {
  const [socket] = keep(await connected());
  for (const args of kinds) {
    log("ack", await call(socket, "ack", ...args));
    const back = next(socket, "message");
    socket.emit("message", ...args);
    log("message", await back);
  }
  const got = wire(socket);
  for (const args of kinds) await call(socket, "ack", ...args);
  log("wire", got);
};

chapters["binary"] = async () => {
  const [socket] = keep(await connected());
  const all = [
    [bytes(1, 2, 3)], [bytes()], [bytes(), bytes()], [many(100_000)], [bytes(4), "4", 4, null],
    [{ blob: bytes(0), list: ["é", [bytes(255, 0, 4)], { deeper: { still: bytes(30) } }] }],
    Array.from({ length: 10 }, (_, i) => bytes(i)), ["text first", bytes(0x1e, 0x34, 0xff)],
    [bytes(1, 2, 3, 4, 5).subarray(1, 3)],
  ];
  if (version > 1) all.push([new Uint8Array([1, 2]), new ArrayBuffer(3), new Uint8Array([9, 8, 7, 6]).subarray(1, 3)], [new Uint16Array([1, 256])]);
  for (const args of all) {
    log("ack", await call(socket, "ack", ...args));
    const back = next(socket, "message");
    socket.emit("message", ...args);
    log("message", await back);
  }
  const got = wire(socket);
  await call(socket, "ack", bytes(1), { a: bytes(2) });
  socket.emit("direct", {}, "said", bytes(1), { a: bytes(2) });
  await call(socket, "ack");
  log("wire", got);
};

chapters["order, text and binary mixed"] = async () => {
  const [other, socket] = keep(await friend(), make()); // which may upgrade meanwhile
  await next(socket, "hello");
  await call(socket, "join", "room");
  const answers = [];
  const sent = Array.from({ length: 100 }, async (_, i) => answers.push(await call(socket, "ack", i % 3 ? i : bytes(i))));
  for (let i = 0; i < 100; i++) other.emit("emit", { to: ["room"] }, "said", i % 5 ? i : bytes(i, i));
  await Promise.all(sent);
  log("answers", answers);
  log("said", await heard(other, socket));
};

chapters["acks"] = async () => {
  const socket = await connected();
  let answers = 0;
  await new Promise((resolve) => socket.emit("ack twice", (...args) => (answers++, log("answer", args), resolve())));
  log("then", await call(socket, "ack", "next"), answers);
  log("several", await Promise.all([call(socket, "ack", 1), call(socket, "ack", 2, 3), call(socket, "ack")]));
  socket.io.engine.write("3999[]"); // nobody has asked
  socket.io.engine.write("3998");
  log("alive", await call(socket, "ack"));
};

chapters["the server asks"] = async () => {
  const socket = await connected();
  const reply = async (fn, ...args) => {
    socket.off("question");
    socket.on("question", fn);
    return call(socket, "ask me", within, ...args);
  };
  log("a value", await reply((a, b, answer) => answer({ got: [a, b] }), 1, "two"));
  log("none", await reply((answer) => answer()));
  log("several", await reply((answer) => answer(1, null, "é")));
  log("binary", await reply((blob, answer) => answer(Buffer.concat([blob, bytes(7)]), { n: blob.length }), bytes(9, 8)));
  log("later", await reply((answer) => setTimeout(answer, 20, "later")));
  log("twice", await reply((answer) => (answer(1), answer(2))));
  let late;
  socket.off("question");
  socket.on("question", (answer) => (late = answer));
  log("never", await call(socket, "ask me", 20));
  late("too late");
  log("alive", await reply((answer) => answer("yes")));
};

chapters["the client's timeouts"] = async () => {
  if (version < 4) return;
  const socket = await connected();
  log("in time", await new Promise((resolve) => socket.timeout(within).emit("ack", 1, 2, (...got) => resolve(got))));
  log("too late", await new Promise((resolve) => socket.timeout(20).emit("silent", (...got) => resolve(got))));
  log("a promise", await socket.emitWithAck("ack", "a"), await socket.timeout(20).emitWithAck("silent").catch((e) => e));
  const pending = socket.timeout(within).emitWithAck("silent").catch((e) => e);
  socket.disconnect();
  log("left", await pending);
  const sure = await connected("/", { retries: 2, ackTimeout: 50 });
  log("again", await new Promise((resolve) => sure.emit("lose once", "key", (...got) => resolve(got))));
};

chapters["namespaces"] = async () => {
  const m = manager();
  const [main, custom, unicode] = ["/", "/custom", "/é"].slice(0, modern ? 3 : 2).map((nsp) => m.socket(nsp)); // old clients' must be ASCII in Node.js
  const sockets = [main, custom, unicode].filter(Boolean);
  await Promise.all(sockets.map(settled));
  log("hello", sockets.map((s) => s.hello.length), new Set(sockets.map((s) => s.hello[0])).size);
  log("answers", await Promise.all(sockets.flatMap((s, i) => [call(s, "ack", i), call(s, "ack", bytes(i), "x")])));
  // A room of one namespace is none of another.
  keep(...sockets);
  for (const s of sockets) await call(s, "join", "room");
  custom.emit("emit", { to: ["room"] }, "said", "in custom");
  custom.emit("emit", {}, "other", "in custom");
  log("said", await heard(custom), main.got);
  const nowhere = m.socket("/nowhere");
  log("unknown", await refusal(nowhere));
  if (modern) log("a query", await refusal(m.socket("/custom?x=1")));
  const left = next(custom, "disconnect");
  custom.disconnect();
  log("left", (await left)[0], await call(main, "ack", "still here"));
  log("back", (await again(custom)).slice(1), await call(custom, "ack", "here"));
};

chapters["middlewares of namespaces"] = async () => {
  for (const how of ["", "object", "list", "text"].filter((x) => x !== "text" || foreign.length > 1)) {
    const options = modern ? { auth: { with: how } } : { query: { with: how } };
    const socket = make("/guarded", options);
    log("refused " + how, await refusal(socket), socket.connected);
  }
  const options = modern ? { auth: { token: "good" } } : { query: { token: "good" } };
  log("let in", (await connected("/guarded", options)).hello);
  if (modern) {
    const socket = make("/guarded", { auth: {} });
    log("refused", await refusal(socket), socket.active);
    socket.auth = { token: "good" };
    const hello = next(socket, "hello");
    socket.connect();
    log("then let in", await hello, await call(socket, "ack", 1));
  }
  // A slow one: what is sent meanwhile waits.
  const socket = make("/prepared");
  const answer = call(socket, "ack", "sent before");
  await settled(socket);
  log("prepared", socket.hello, await answer);
};

chapters["dynamic namespaces"] = async () => {
  const m = manager();
  for (const nsp of ["/game-", "/game-x", "/agame-1", "/game-1/"]) log(nsp, await refusal(m.socket(nsp)));
  const [one, two] = await Promise.all(["/game-1", "/game-22"].map((nsp) => settled(m.socket(nsp))));
  const third = await settled(manager({}, servers.plain, young).socket("/game-1"));
  keep(one, two, third);
  log("whoami", (await call(one, "whoami"))[0].nsp, (await call(two, "whoami"))[0].nsp);
  one.emit("emit", {}, "said", "to the first");
  log("said", await heard(one, third), two.got);
  const came = [one, two, third].map((s) => next(s, "other"));
  one.emit("parents", "other", "to all", bytes(1));
  log("the parent", await Promise.all(came));
  const as = (token) => (modern ? { auth: token } : { query: token });
  log("refused", await refusal(make("/game-3", as({ token: "bad" }))));
  log("asked", (await connected("/asked-1", as({ key: "k" }))).hello);
  log("asked", await refusal(make("/asked-2", as({ key: "no" }))));
};

chapters["rooms"] = async () => {
  const all = keep(await connected(), await connected(), await connected(), await friend());
  const [a, b, c, d] = all;
  for (const [s, ...rooms] of [[a, "x"], [b, "x", "y"], [c, "y"], [d, "x", "z", foreign[0]]]) {
    for (const room of rooms) log("join", await call(s, "join", room));
  }
  const id = (s) => s.hello[0];
  for (const [from, to, ...args] of [
    [a, { to: ["x"] }, 1], [a, { to: ["x", "y"] }, 2, bytes(1, 2, 3)], [a, { to: ["x", "y", "nobody"], except: ["z"] }, 3],
    [a, { to: ["x"], except: ["y", id(d)] }, 4], [a, { from: "socket", to: ["x"] }, 5], [d, { from: "socket", to: ["x"] }, 6, { deep: [bytes(0)] }],
    [b, { to: [id(c)] }, 7], [b, { from: "socket", to: [id(b)] }, 8], [b, { from: "socket" }, 9], [c, {}, 10, ...foreign],
    [c, { except: ["x"] }, 11], [c, { plain: true, to: ["x"] }, 12, "x".repeat(3000)], [c, { local: true, to: ["y"] }, 13], [d, { to: ["nobody"] }, 14],
    [d, { to: ["x"], except: ["x"] }, 15], [d, { to: [foreign[0]] }, 16],
  ]) {
    from.emit("emit", to, "said", ...args);
    log("said", ...await heard(from, ...all.filter((s) => s !== from)), all.indexOf(from));
  }
  log("leave", await call(b, "leave", "x"), await call(b, "leave", "never in"), await call(b, "join", "y"));
  a.emit("emit", { to: ["x"] }, "said", "without b");
  log("said", await heard(a, b, c, d));
  if (transport !== "polling") { // which may be between two polls
    a.emit("emit", { to: ["x"], volatile: true }, "said", "volatile");
    log("said", await heard(a, d));
    const direct = next(a, "said");
    a.emit("direct", { volatile: true }, "said", "now");
    log("direct", await direct);
  }
};

chapters["asking rooms"] = async () => {
  const [a, b, c] = [await connected(), await connected(), await friend()];
  for (const s of [a, b, c]) await call(s, "join", "asked");
  const sorted = ([error, got]) => [error, got.map(canonical).map(String).sort()];
  a.on("question", (x, answer) => answer("a", x));
  b.on("question", (x, answer) => answer(bytes(0xb)));
  const all = (x, answer) => answer();
  c.on("question", all);
  log("all", sorted(await call(a, "ask", { to: ["asked"] }, within, "?")));
  log("the others", sorted(await call(a, "ask", { from: "socket", to: ["asked"] }, within, bytes(1))));
  log("nobody", sorted(await call(a, "ask", { to: ["nobody"] }, within, "?")));
  log("one", sorted(await call(a, "ask", { to: [b.hello[0]] }, within, "?")));
  c.off("question", all);
  const silent = next(c, "question");
  log("one is silent", sorted(await call(a, "ask", { to: ["asked"] }, 2000, "?")));
  (await silent)[1]("too late");
  log("alive", await call(a, "ack", 1), await call(c, "ack", 1));
};

chapters["of others"] = async () => {
  const all = [await connected(), await connected(), await friend()];
  const [a, b, c] = keep(...all);
  const list = async (to) => (await call(a, "list", to))[0].sort((x, y) => names.indexOf(x.id) - names.indexOf(y.id));
  const names = all.map((s) => s.hello[0]);
  for (const s of all) await call(s, "join", "list");
  await call(b, "data", { name: foreign[0], list: [1, { n: null }] });
  log("list", await list({ to: ["list"] }), await list({ from: "socket", to: ["list"] }), await list({ to: [names[1]] }), await list({ to: ["nobody"] }));
  await call(a, "move", { to: ["list"], except: [names[2]] }, ["in", "and in"], null);
  log("moved", await list({ to: ["in"] }), await list({ to: ["and in"] }));
  await call(a, "move", { to: [names[0]] }, null, ["in"]);
  log("left", await list({ to: ["in"] }));
  a.emit("emit", { to: ["in"] }, "said", "to b");
  log("said", await heard(a, b, c));
  const gone = next(b, "disconnect");
  a.emit("kick", { to: ["in"] }, false);
  log("kicked", (await gone)[0], await list({ to: ["list"] }));
  log("back", (await again(b)).slice(3), b.hello[0] === names[1]);
  const [closed, others] = [next(b.io.engine, "close"), next(b, "disconnect")];
  a.emit("kick", { to: [b.hello[0]] }, true);
  log("closed", (await others)[0], (await closed).length > 0, await list({ to: ["list"] }));
};

chapters["both sides can leave"] = async () => {
  const w = await watcher();
  const leave = async (what, socket, how, ...rooms) => {
    for (const room of rooms) await call(socket, "join", room);
    const [here, there] = [next(socket, "disconnect"), w.end(socket.hello[0])];
    await how();
    const [reason, end] = [(await here)[0], await there];
    // A connection that goes without a word may be an error to the server.
    log(what, reason, what === "the engine" ? end.map((x) => String(x).replace("transport error", "transport close")) : end);
  };
  const pair = async () => {
    const m = manager();
    return Promise.all([settled(m.socket("/")), settled(m.socket("/prepared"))]);
  };
  let [main, custom] = await pair();
  await leave("the client", main, () => main.disconnect(), "b", "a");
  [main, custom] = await pair();
  await leave("the server", main, () => main.emit("disconnect me", false), "a");
  if (modern) { // others have their main namespace with the connection
    await again(main);
  } else {
    [main] = await pair();
  }
  const closed = next(main.io.engine, "close");
  await leave("all of it", main, () => main.emit("disconnect me", true));
  await closed;
  [main] = await pair();
  await leave("the engine", main, () => main.io.engine.close(), "a");
  // What waits for an answer on either side.
  [main] = await pair();
  main.on("question", () => main.disconnect());
  await leave("asked", main, () => main.emit("ask me", within, () => log("an answer to one who has left")));
};

chapters["illegal packets"] = async () => {
  const w = await watcher();
  for (const packet of [
    "abc", "7", "8[\"x\"]", "2{}", "2[]", "2\"x\"", "2null", "2[null]", "2[{}]", "2[true]", "2[\"connect\"]", "2[\"disconnecting\"]",
    "2[\"newListener\"]", "2abc[\"x\"]", "21.5[\"x\"]", "2-1[\"x\"]", "2[\"x\"", "2[\"x\"]]", "1{}", "1[\"x\"]", "3{}", "0[1]", "0\"abc\"", "0null",
    "0{\"a\":", "5[\"x\"]", "50-[\"x\"]", "5-[\"x\"]", "51[\"x\"]", "51.5-[\"x\"]", "5-1-[\"x\"]", "511-[\"x\"]", "5999999999-[\"x\"]",
    "51-[{\"_placeholder\":true,\"num\":0}]", "4{\"message\":\"x\"}", "2/custom,[\"x\"]", "2/nowhere,[\"x\"]", "2/custom[\"x\"]", "1/custom,", "0",
    bytes(1), ["51-[\"x\",{\"_placeholder\":true,\"num\":1}]", bytes(1)], ["51-[\"x\",{\"_placeholder\":true,\"num\":-1}]", bytes(1)],
    ["51-[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]", bytes(1)], ["51-[\"x\",{\"_placeholder\":true,\"num\":0}]", "2[\"x\"]"],
    ["51-[\"x\",{\"_placeholder\":true,\"num\":\"splice\"}]", bytes(1)],
  ]) {
    if (!modern && packet === "0") continue; // they are connected to the main namespace anyhow
    const socket = await connected();
    const [here, there] = [next(socket, "disconnect"), w.end(socket.hello[0])];
    for (const part of [packet].flat()) socket.io.engine.write(part);
    // A poll that comes too late meets a session that is no more, and while something still waits for a poll Node.js has
    // another word for the end.
    if (transport === "polling") {
      const end = (await there).map((v) => (v === "forced server close" ? "forced close" : v));
      log("packet", packet, /^transport (close|error)$/.test((await here)[0]), end);
    } else log("packet", packet, (await here)[0], await there);
  }
  const socket = await connected();
  for (const packet of [
    "31", "3999[]", "2[\"nobody listens\"]", "2/,[\"x\"]",
    "2007[\"ack\",\"seven\"]",
  ]) socket.io.engine.write(packet);
  const parts = ["52-[\"message\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":1}]", bytes(1), bytes(2)];
  const back = next(socket, "message");
  for (const part of parts) socket.io.engine.write(part);
  log("harmless", await call(socket, "ack", "alive"), await back, (await call(socket, "heard"))[0]);
};

chapters["reconnecting"] = async () => {
  const options = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 20, randomizationFactor: 0 };
  const socket = await connected("/", options);
  const old = socket.hello[0];
  const [gone, back] = [next(socket, "disconnect"), next(socket, "hello")];
  socket.io.engine.close();
  log("gone", (await gone)[0]);
  if (modern) socket.volatile.emit("message", "lost");
  const buffered = call(socket, "ack", "buffered", bytes(1));
  socket.emit("message", "buffered as well");
  const message = next(socket, "message");
  const [id, ...rest] = await back;
  log("back", id === old, rest, await buffered, await message);
  if (modern) log("heard", await call(socket, "heard"));
};

chapters["recovery"] = async () => {
  const w = keep(await watcher(servers.full))[0];
  const [socket] = keep(await connected("/", { auth: { own: 1 } }, servers.full));
  const strip = (list) => list.map((e) => (typeof e.at(-1) === "string" && e.at(-1).length < 40 && e.length > 1 ? [...e.slice(0, -1), "<offset>"] : e));
  log("hello", strip([socket.hello]), socket.recovered);
  await call(socket, "join", "r");
  await call(socket, "data", { kept: [1] });
  const got = wire(socket);
  const first = next(socket, "said");
  socket.emit("direct", {}, "said", 1);
  await first;
  w.emit("emit", { to: ["r"] }, "said", bytes(2));
  log("said", strip((await heard(w, socket))[1]));
  log("wire", got.map((x) => (typeof x === "string" ? x.replace(/"[^"]+"\]$/, '"<offset>"]') : x)).sort());

  for (const round of [1, 2]) {
    const old = socket.hello[0];
    const [here, there] = [next(socket, "disconnect"), w.end(old)];
    socket.io.engine.close();
    log("away", (await here)[0], strip([await there]));
    socket.got.length = w.got.length = 0;
    for (const [to, ...event] of [
      [{ to: ["r"] }, "said", "missed", round], [{ to: [old] }, "said", bytes(round), { for: "me" }], [{ to: ["s"] }, "said", "of another room"],
      [{ to: ["r"], except: ["r"] }, "said", "except"], [{}, "other", "to all"], [{ to: ["r"], volatile: true }, "said", "volatile"],
    ]) w.emit("emit", to, ...event);
    await heard(w);
    const back = next(socket, "hello");
    socket.connect();
    socket.hello = await back;
    await heard(w, socket).then(([, mine]) => log("missed", strip(mine)));
    log("back", socket.recovered, socket.hello[0] === old, strip([socket.hello]));
    log("state", await call(socket, "list", { to: [socket.hello[0]] }));
    w.emit("emit", { to: ["r"] }, "said", "and on");
    log("on", strip((await heard(w, socket))[1]));
  }
  if (!modern) return;
  // There is no way back for whom the server has sent away.
  const sent = await connected("/", {}, servers.full);
  const away = next(sent, "disconnect");
  sent.emit("disconnect me", false);
  log("sent away", (await away)[0]);
  const hello = await again(sent);
  log("again", sent.recovered, strip([hello]));
};

chapters["compression"] = async () => {
  const [a, b] = keep(await connected("/", {}, servers.full), await connected("/", {}, servers.full));
  const extensions = a.io.engine.transport.ws?.extensions;
  log("extensions", typeof extensions === "object" ? Object.keys(extensions) : extensions);
  for (const s of [a, b]) await call(s, "join", "room");
  for (const n of [10, 1023, 1024, 5000, 90_000]) {
    log("ack", await call(a, "ack", "é".repeat(n), many(n)));
    for (const plain of [false, true]) {
      a.emit("emit", { to: ["room"], plain }, "said", { text: "text ".repeat(n), many: many(n) }, 0);
      log("said", (await heard(a, b)).map((list) => list.map((e) => e.slice(0, 3))));
      const said = next(a, "other");
      a.emit("direct", { plain }, "other", many(n), 0);
      log("direct", (await said)[0]);
      a.got.length = 0;
    }
  }
};

chapters["what the server hears"] = async () => {
  const [socket] = keep(await connected());
  socket.emit("forbidden", 1);
  socket.emit("forbidden", bytes(1));
  socket.emit("unheard of", 1, bytes(2));
  socket.emit("message", "é".slice(0, foreign.length), { a: 1 });
  await next(socket, "message");
  socket.emit("emit", {}, "said", "to all");
  await heard(socket);
  log("asked", await (socket.on("question", (x, answer) => answer(x)), call(socket, "ask me", within, 5)));
  const events = modern ? ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] : [];
  for (const event of events) log(event, await call(socket, "reserved", event));
  log("heard", (await call(socket, "heard")).map((list) => list.filter(([event]) => event !== "fence" && event !== "hello")));
  if (!modern) return;
  socket.send("sent", 1);
  log("send", await next(socket, "message"));
  const error = next(socket, "error");
  socket.emit("direct", {}, "error", { not: "an error" });
  log("error", await error);
  const fresh = make();
  fresh.volatile.emit("message", "too early");
  await settled(fresh);
  fresh.volatile.emit("unheard of", "in time"); // or not, over polling
  log("volatile", (await call(fresh, "heard"))[0].filter(([event]) => event === "message"));
  const seen = [];
  fresh.onAny((...event) => seen.push(event));
  fresh.emit("direct", {}, "said", 1, bytes(1));
  await call(fresh, "ack");
  log("catch-all", seen);
};

chapters["big messages"] = async () => {
  const w = await watcher();
  const socket = await connected();
  log("large", await call(socket, "ack", "x".repeat(990_000)));
  log("binary", await call(socket, "ack", many(transport === "polling" ? 700_000 : 990_000)));
  const [here, there] = [next(socket, "disconnect"), w.end(socket.hello[0])];
  socket.emit("ack", "x".repeat(1_000_100), () => {});
  log("too large", (await here)[0], transport === "polling" ? (await there)[0] : await there);
};

chapters["heartbeat"] = async () => {
  const socket = await connected();
  for (let i = 0; i < 3; i++) await next(socket.io.engine, "packet", ({ type }) => type === (modern ? "ping" : "pong"));
  log("alive", await call(socket, "ack", 1));
};

chapters["no heartbeat"] = async () => {
  if (!modern && transport === "upgrade") return; // Node.js forgets to look after them
  const w = await watcher();
  const ends = new Map(); // on a busy machine one may come before we know whose we wait for
  w.on("left", (who, ...end) => ends.set(who, end));
  const socket = make("/", {}, servers.hasty);
  const { engine } = socket.io;
  engine.on("handshake", (data) => (data.pingTimeout = within)); // it does not give up itself
  const [id] = (await settled(socket)).hello;
  if (!modern) await next(engine, "packet", ({ type }) => type === "pong"); // Node.js begins to count with the first
  const send = engine._sendPacket ? "_sendPacket" : "sendPacket";
  const original = engine[send];
  engine[send] = function (type, ...rest) {
    if (type !== "ping" && type !== "pong") original.call(this, type, ...rest);
  };
  log("end", ends.get(id) ?? (await w.end(id)));
};

chapters["a server that closes"] = async () => {
  const w = await watcher();
  const socket = await connected("/", {}, servers.closing);
  const [here, there] = [next(socket, "disconnect"), w.end(socket.hello[0])];
  socket.emit("shut down");
  log("end", transport === "polling" ? /^transport (close|error)$/.test((await here)[0]) : (await here)[0], await there);
};

chapters["a server that lets no old clients in"] = async () => {
  const socket = make("/", {}, servers.strict);
  if (modern) return log("let in", await next(socket, "connect"));
  const [error] = await next(socket, "connect_error");
  log("refused", error.message ?? error, transport === "websocket" ? "" : error.description);
};

// ---- to the end

process.on("unhandledRejection", (e) => lines.push(["FAILED", e.message]));
const only = process.env.CHAPTER;
for (const [name, chapter] of Object.entries(chapters)) {
  if (only && only !== name) continue;
  [lines, ids] = [[], new Map()];
  const started = Date.now();
  try {
    await chapter();
  } catch (e) {
    lines.push(["FAILED", e.message]);
    if (only) console.error(e);
  }
  for (const m of open.splice(0)) m.engine?.close();
  console.log(JSON.stringify({ chapter: name, lines }));
  if (process.env.TIMES) console.error(name, Date.now() - started);
}
process.exit(0);
