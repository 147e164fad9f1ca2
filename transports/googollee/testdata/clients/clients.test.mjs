// Clients of Socket.IO ($CLIENT: client1, client2, client4), over $TRANSPORT: websocket, polling or upgrade, at the
// program of program_test.go.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import test from "node:test";

const { GREENROOM_URL: url, CLIENT: version, TRANSPORT: how } = process.env;
const io = createRequire(import.meta.url)(version);
const transports = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] }[how];
const within = 20_000;

// Version 1 reads text of a polling body otherwise than today's servers write it.
const text = version === "client1" && how === "polling" ? "plain" : "é€😀";

function open(t, namespace = "/") {
  const socket = io(url + namespace, { transports, forceNew: true, reconnection: false });
  t.after(() => socket.io.engine?.close());
  return socket;
}

const next = (emitter, event) => once(emitter, event, { signal: AbortSignal.timeout(within) });

const call = (socket, ...args) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(reject, within, new Error(`no answer to ${args[0]}`));
    socket.emit(...args, (...answer) => (clearTimeout(timer), resolve(answer)));
  });

async function connected(t, namespace) {
  const socket = open(t, namespace);
  await next(socket, "connect");
  if (how === "upgrade") {
    const { engine } = socket.io;
    if (engine.transport.name !== "websocket") await next(engine, "upgrade");
  }
  return socket;
}

test("the example of the library: notice, msg, bye", async (t) => {
  const root = await connected(t);
  const reply = next(root, "reply");
  root.emit("notice", text);
  assert.deepEqual(await reply, ["have " + text]);

  const chat = await connected(t, "/chat");
  assert.deepEqual(await call(chat, "msg", text), ["recv " + text]);

  const bye = next(root, "bye");
  const gone = next(root, "disconnect");
  root.emit("bye");
  assert.deepEqual(await bye, ["have " + text]);
  await gone;
  assert.equal((await call(chat, "msg", "still here"))[0], "recv still here");
});

test("rooms: once for each, whatever rooms one is in", async (t) => {
  const [a, b] = [await connected(t, "/rooms"), await connected(t, "/rooms")];
  const room = `room of ${a.id}`;
  assert.deepEqual(await call(a, "join", room), [1]);
  assert.deepEqual(await call(b, "join", room), [2]);
  assert.deepEqual(await call(b, "join", room + " too"), [1]);
  for (const [event, who] of [["to room", [a, b]], ["to all", [a, b]]]) {
    const got = who.map((s) => {
      const all = [];
      s.on(event, (x) => all.push(x));
      return all;
    });
    a.emit("broadcast", event, room, text);
    a.emit("broadcast", event, room, "end");
    while (got.some((all) => all.length < 2)) await new Promise(setImmediate);
    // What was delivered twice would be here by the time of the answer.
    await Promise.all(who.map((s) => call(s, "join", room)));
    for (const all of got) assert.deepEqual(all, [text, "end"]);
  }
  assert.deepEqual(await call(b, "leave", room), [1]);
  const [rooms] = await call(a, "rooms"); // and one of its own, called by its id
  assert.equal(rooms.length, 2);
  assert.ok(rooms.includes(room));
});

test("binary values, by themselves and within", async (t) => {
  const socket = await connected(t, "/binary");
  const bytes = Buffer.from([0, 1, 2, 255]);
  const [echo] = await call(socket, "buffer", bytes);
  assert.deepEqual(Buffer.from(echo), bytes);
  const [doc] = await call(socket, "document", { name: text, n: 9007199254740991, blobs: [bytes, bytes.subarray(1)] });
  assert.equal(doc.name, text);
  assert.equal(doc.n, 9007199254740991);
  assert.deepEqual(doc.blobs.map((b) => Buffer.from(b)), [bytes, bytes.subarray(1)]);
  const [any] = await call(socket, "any", { b: bytes, l: [1, "2"] });
  assert.deepEqual(Buffer.from(any.b), bytes);
  assert.deepEqual(any.l, [1, "2"]);
});

test("answers both ways, and errors that end nothing", async (t) => {
  const socket = await connected(t, "/calls");
  socket.on("question", (a, b, answer) => answer(a + b, Buffer.from("reply")));
  const said = next(socket, "you said");
  assert.deepEqual(await call(socket, "ask me", 20, 22), []);
  assert.deepEqual(await said, [42, "reply"]);

  assert.deepEqual(await call(socket, "add", 1, 2), [3, "ok"]);
  assert.deepEqual(await call(socket, "add", 1), [1, "ok"]);
  assert.deepEqual(await call(socket, "add", 1, 2, 3), [3, "ok"]);
  assert.deepEqual(await call(socket, "sum", 1, 2, 3), [6]);
  assert.deepEqual(await call(socket, "silent"), []);
  for (const [event, ...args] of [["add", "one", 2], ["panic"], ["nobody knows"]]) {
    const [answer] = await call(socket, event, ...args);
    assert.equal(answer.ok, false, event);
  }
  assert.deepEqual(await call(socket, "add", 20, 22), [42, "ok"]);
  const [errors] = await call(socket, "errors");
  assert.equal(errors.length, 2);
});

test("a namespace that does not exist, and one that does not want us", async (t) => {
  const error = version === "client4" ? "connect_error" : "error";
  assert.ok(await next(open(t, "/nowhere"), error));
  await next(open(t, "/closed"), "disconnect");
});

test("a handler that takes its time holds up nobody else", async (t) => {
  const [slow, quick] = [await connected(t, "/calls"), await connected(t, "/calls")];
  const answer = call(slow, "wait for release");
  assert.deepEqual(await call(quick, "add", 1, 1), [2, "ok"]);
  assert.deepEqual(await call(quick, "release"), []);
  assert.deepEqual(await answer, ["released"]);
});
