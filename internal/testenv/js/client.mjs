// What the scripts share: connecting, waiting with a limit, and closing everything afterwards.
import { io } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";

export const url = process.env.GREENROOM_URL ?? "http://127.0.0.1:3000";

/** Where Greenroom is mounted on that server. */
const path = process.env.GREENROOM_PATH ?? "/socket.io/";

/** The parser of packets that the clients use; undefined is their own. */
export const parser = { msgpack: msgpackParser }[process.env.GREENROOM_PARSER];

/** A packet as the clients send it, for tests that send what a client would not. */
export const encoded = (packet) => (parser ? new parser.Encoder().encode(packet)[0] : `${packet.type}${packet.nsp},${JSON.stringify(packet.data)}`);

/** How long any single wait may take, in ms. */
const within = 30_000;

/** The three ways the official client reaches a server; $GREENROOM_TRANSPORT names one of them. */
export const transports = Object.fromEntries(Object.entries({
  websocket: { transports: ["websocket"], parser },
  polling: { transports: ["polling"], parser },
  upgrade: { transports: ["polling", "websocket"], parser },
}).filter(([name]) => name === (process.env.GREENROOM_TRANSPORT ?? name)));

/** A promise that fails with a sentence when it takes too long. */
export async function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${within} ms`)), within);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The arguments of the next such event, or of the next that fits. */
export function next(emitter, event, fits = () => true) {
  let listener;
  const found = new Promise((resolve) => {
    listener = (...args) => fits(...args) && resolve(args);
    emitter.on(event, listener);
  });
  return soon(found, `waiting for ${event}`).finally(() => emitter.off(event, listener));
}

/** Everything that comes of some events, in order, with a promise of the nth. */
export function record(socket, ...events) {
  const got = [];
  let wake = () => {};
  for (const event of events) {
    socket.on(event, (...args) => {
      got.push([event, ...args]);
      wake();
    });
  }
  got.until = (n) => soon(new Promise((resolve) => {
    wake = () => got.length >= n && resolve(got);
    wake();
  }), `waiting for ${n} of ${events}`);
  return got;
}

/** Connects clients for one test and closes them after it. */
export class Clients {
  #open = [];

  constructor(t) {
    t.after(() => this.#open.forEach((s) => s.disconnect()));
  }

  /** A client that may or may not get in. */
  make(options = {}, namespace = "/") {
    const socket = io(url + namespace, { path, forceNew: true, reconnection: false, ...options });
    this.#open.push(socket);
    return socket;
  }

  /** A connected client, and with the upgrade transport an upgraded one. */
  async connected(options = {}, namespace = "/") {
    const socket = this.make(options, namespace);
    await soon(new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    }), "connecting");
    await upgraded(socket);
    return socket;
  }
}

/** Waits until a client that has both transports uses the second one. */
export async function upgraded(socket) {
  const engine = socket.io.engine;
  if (socket.io.opts.transports.length === 2 && engine.transport.name === "polling") await next(engine, "upgrade");
}

/** Calls the server and waits for its answer. */
export const call = (socket, name, ...args) => socket.timeout(within).emitWithAck(name, ...args);

let rooms = 0;
/** A room that no other test, and no other run against the same server, uses. */
export const newRoom = () => `test-${process.pid}-${Date.now().toString(36)}-${++rooms}`;
