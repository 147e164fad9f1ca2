// Clients of Socket.IO 1 and 2 ($CLIENT: client1, client2) at a server of today, over $TRANSPORT: websocket, polling
// or upgrade. The server is the one of server.mjs, or Greenroom's of legacy_test.go, which says the same.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import test from "node:test";
import { io as modern } from "client4";

const { GREENROOM_URL: url, CLIENT: version, TRANSPORT: how } = process.env;
const legacy = createRequire(import.meta.url)(version);
const transports = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] }[how];
const within = 20_000;

// Version 1 takes text in polling bodies for something else than the server of today does: what it says to itself
// comes back as it was, but others see other characters, and those of others break its connection.
const foreign = version === "client1" && how === "polling" ? ["plain"] : ["é€😀", "\u2028", "plain"];

function open(t, namespace = "/", options = {}) {
  const socket = legacy(url + namespace, { transports, forceNew: true, reconnection: false, ...options });
  t.after(() => socket.io.engine?.close());
  return socket;
}

function next(emitter, event) {
  return once(emitter, event, { signal: AbortSignal.timeout(within) });
}

const call = (socket, ...args) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(reject, within, new Error(`no answer to ${args[0]}`));
    socket.emit(...args, (...answer) => (clearTimeout(timer), resolve(answer)));
  });

async function connected(t, namespace, options) {
  const socket = open(t, namespace, options);
  const hello = next(socket, "hello");
  await next(socket, "connect");
  if (how === "upgrade") {
    const { engine } = socket.io;
    if (engine.transport.name !== "websocket") await next(engine, "upgrade");
  }
  return [socket, (await hello)[0]];
}

function modernClient(t) {
  const socket = modern(url, { transports, forceNew: true, reconnection: false });
  t.after(() => socket.close());
  return next(socket, "hello").then(() => socket);
}

const bytes = (...list) => Buffer.from(list);

test("the ids are what the client thinks", async (t) => {
  const [socket, id] = await connected(t);
  assert.equal(socket.io.engine.transport.name, transports.at(-1));
  assert.equal(id, socket.io.engine.id);
  assert.equal(id, socket.id);
  assert.deepEqual(await call(socket, "whoami"), [id, {}]);
  const [custom, customId] = await connected(t, "/custom");
  assert.equal(customId, "/custom#" + custom.io.engine.id);
  if (version !== "client1") assert.equal(customId, custom.id);
});

test("events and acks bring back what was sent", async (t) => {
  const [socket] = await connected(t);
  for (const args of [
    [], [null, true, -1.5, ""], ["é€😀", "\u2028", "\u0000", '"\\', "\\n\n"], [{ a: [{}, []] }], ["x".repeat(100_000)],
    [bytes(1, 2, 3)], [{ blob: bytes() }, "é", [bytes(255, 0, 4)]],
  ]) {
    assert.deepEqual(await call(socket, "ack", ...args), args);
    const back = next(socket, "message-back");
    socket.emit("message", ...args);
    assert.deepEqual(await back, args);
  }
});

test("the server asks", async (t) => {
  const [socket] = await connected(t);
  socket.on("question", (blob, answer) => answer({ n: blob.length, blob: bytes(7) }));
  assert.deepEqual(await call(socket, "ask me", bytes(9, 8)), ["heard", { n: 2, blob: bytes(7) }]);
});

test("a room with a client of today", async (t) => {
  const [old] = await connected(t);
  const young = await modernClient(t);
  for (const socket of [old, young]) assert.deepEqual(await call(socket, "join", "room"), ["ok"]);
  for (const from of [old, young]) {
    const args = [...foreign, { a: 1 }, bytes(1, 2, 3), { deep: [bytes(0)] }];
    const said = [next(old, "said"), next(young, "said")];
    from.emit("say", "room", ...args);
    for (const got of await Promise.all(said)) assert.deepEqual(got, args);
  }
  // In order, text and binary mixed.
  const heard = [];
  const all = new Promise((resolve) => old.on("said", (n) => heard.push(n) === 100 && resolve()));
  for (let i = 0; i < 100; i++) young.emit("say", "room", i % 3 ? i : bytes(i));
  await all;
  assert.deepEqual(heard, Array.from({ length: 100 }, (_, i) => (i % 3 ? i : bytes(i))));
});

test("a namespace's query is its auth", async (t) => {
  const query = { a: "1", b: " x", token: foreign[0] + "&=,?+" };
  const [socket, id] = await connected(t, "/custom", { query });
  assert.deepEqual(await call(socket, "whoami"), [id, query]);
});

test("refusals", async (t) => {
  assert.deepEqual(await next(open(t, "/guarded"), "error"), ["nope"]);
  assert.deepEqual(await next(open(t, "/guarded", { query: { with: "data" } }), "error"), [{ code: 1 }]);
  assert.deepEqual(await next(open(t, "/nowhere"), "error"), [{ message: "Invalid namespace" }]);
});

test("both sides can leave", async (t) => {
  const [socket] = await connected(t);
  const left = next(socket, "disconnect");
  socket.emit("disconnect me");
  assert.deepEqual(await left, ["io server disconnect"]);
  const [other] = await connected(t, "/custom");
  const closed = next(other, "disconnect");
  other.disconnect();
  assert.deepEqual(await closed, ["io client disconnect"]);
});

test("a server that has not been told to let us in", async (t) => {
  const socket = legacy(process.env.REFUSING_URL, { transports: ["polling"], forceNew: true, reconnection: false });
  t.after(() => socket.io.engine?.close());
  const [error] = await next(socket, "connect_error");
  assert.deepEqual([error.message, error.description], ["xhr poll error", 400]);
});

test("the heartbeat goes on", async (t) => {
  const [socket] = await connected(t);
  for (let i = 0; i < 3; i++) await next(socket.io.engine, "pong");
  assert.deepEqual(await call(socket, "ack", 1), [1]);
});
