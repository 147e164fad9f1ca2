// One room over one Socket.IO connection: joining, catching up after a reconnect, sending with
// confirmation, presence, typing. No DOM in here: what happens is told to the listener `on`.
//
//   connecting ──▶ connected ◀──▶ reconnecting        the client library tries again by itself
//                      └────────▶ disconnected        the server said no, or we left: nobody tries

const answerWithin = 10_000; // ms that the server has to answer a call
const firstMessages = 50;    // how much of the past to show on entering
const pageSize = 100;        // messages per `history` call when catching up
const mostPages = 20;        // give up catching up after this many: nobody reads 2 000 messages back
const typingEvery = 2_000;   // ms between two `typing` notes of ours

/**
 * @typedef {{id?: string, name?: string, user?: string, node?: string}} Person  node: of several, the one that they are connected to
 * @typedef {{id: string, event: string, args: unknown[], from: Person, meta: object, mine: boolean}} Message
 * @typedef {{text: string, at: number, sent: boolean}} Outgoing  one of our own, until it is delivered
 *
 * @typedef {object} Listener
 * @property {(state: string, detail?: string) => void} state
 * @property {(members: Person[]) => void} members        everyone in the room, after each change
 * @property {(joined: Person[], left: Person[]) => void} came  who came and went, without ourselves
 * @property {(messages: Message[], past: boolean) => void} messages  past: fetched, not live
 * @property {(o: Outgoing) => void} sending
 * @property {(o: Outgoing, id: string) => void} delivered
 * @property {(o: Outgoing, why: string) => void} failed
 * @property {(who: Person, on: boolean) => void} typing
 * @property {(why: string) => void} refused               the room does not let us in
 * @property {() => void} gap                               some messages are lost for good
 */
export class Room {
  #socket;
  #room;
  /** @type {Listener} */ #on;
  #members = new Map();   // id → Person
  #shown = new Set();     // ids of messages already told to the listener
  #lastId;                // of the newest message that the server sent us
  #ourIds;                // session ids we have had: a reconnect brings a new one
  #held = [];             // live events that arrived before we had caught up; null once we have
  #outgoing = new Set();  // ours that nobody has confirmed yet
  #turn = 0;              // counts connections, so that late answers to an old one are recognised
  #typedAt = 0;
  #entered = false;       // been in the room at least once

  /**
   * @param {import("socket.io-client").Socket} socket  not yet connected
   * @param {string} room
   * @param {Set<string>} ourIds  session ids that this tab had before; grows with each connection
   * @param {Listener} on
   */
  constructor(socket, room, ourIds, on) {
    this.#socket = socket;
    this.#room = room;
    this.#ourIds = ourIds;
    this.#on = on;
    socket.on("connect", () => this.#enter());
    socket.on("disconnect", (reason) => this.#lost(reason));
    socket.on("connect_error", (err) => this.#unreachable(err));
    socket.onAny((event, ...args) => this.#received(event, args));
  }

  /** Leaves the room and closes the connection. */
  close() {
    this.#turn++;
    this.#socket.offAny();
    this.#socket.removeAllListeners();
    this.#socket.disconnect();
  }

  /** After `disconnected`: try once more. */
  again() {
    this.#on.state("connecting");
    this.#socket.connect();
  }

  get connected() {
    return this.#held === null;
  }

  /** Sends a text. It is shown at once and confirmed, or refused, later; without a connection it waits. */
  send(text) {
    const o = { text, at: Date.now(), sent: false };
    this.#on.sending(o);
    this.#typedAt = 0;
    this.#post(o);
  }

  /** Sends one that failed again. */
  retry(o) {
    o.sent = false;
    this.#post(o);
  }

  /** Tells the others that we are writing (at most every two seconds), or that we stopped. */
  typing(on) {
    const now = Date.now();
    if (!this.connected || (on ? now - this.#typedAt < typingEvery : this.#typedAt === 0)) return;
    this.#typedAt = on ? now : 0;
    this.#socket.emit("publish", this.#room, "typing", on, { volatile: true });
  }

  async #enter() {
    const turn = ++this.#turn;
    this.#ourIds.add(this.#socket.id);
    this.#held = [];
    const fresh = this.#lastId === undefined;
    const joined = await this.#call("join", this.#room, fresh ? { history: firstMessages, presence: true } : { presence: true });
    if (turn !== this.#turn) return;
    if (!joined?.ok) {
      this.#on.refused(reasonOf(joined));
      return;
    }
    const past = fresh ? joined.messages ?? [] : await this.#missed(turn);
    if (turn !== this.#turn) return;

    this.#setMembers(joined.members ?? []);
    this.#recogniseOwn(past);
    this.#tell(past.map((m) => this.#fromHistory(m)), true);
    const held = this.#held;
    this.#held = null;
    this.#entered = true;
    for (const [event, args] of held) this.#received(event, args);
    this.#on.state("connected");
    for (const o of this.#outgoing) this.#post(o);
  }

  /** Everything published after the last message we have, oldest first. */
  async #missed(turn) {
    const found = [];
    let after = this.#lastId;
    for (let page = 0; page < mostPages; page++) {
      const answer = await this.#call("history", this.#room, { limit: pageSize, after });
      if (turn !== this.#turn) return found;
      if (!answer?.ok) {
        this.#on.gap();
        return found;
      }
      if (answer.complete === false) this.#on.gap();
      const messages = answer.messages ?? [];
      found.push(...messages);
      const last = idOf(messages.at(-1));
      if (last === undefined || last === after) return found; // a server may send fewer than asked for
      after = last;
    }
    this.#on.gap();
    return found;
  }

  /** Messages of ours whose confirmation was lost with the connection, but which did arrive. */
  #recogniseOwn(past) {
    for (const m of past) {
      if (!this.#ourIds.has(m.meta?.from?.id) || this.#shown.has(idOf(m))) continue;
      for (const o of this.#outgoing) {
        if (o.sent && o.text === (m.data ?? m.args?.[0])) {
          this.#confirm(o, idOf(m));
          break;
        }
      }
    }
  }

  #confirm(o, id) {
    this.#outgoing.delete(o);
    this.#shown.add(id);
    this.#on.delivered(o, id);
  }

  async #post(o) {
    this.#outgoing.add(o);
    if (!this.connected) return;
    const turn = this.#turn;
    o.sent = true;
    const answer = await this.#call("publish", this.#room, "message", o.text);
    if (turn !== this.#turn || !this.#outgoing.has(o)) return; // connection lost: #enter decides
    if (answer?.ok) {
      this.#confirm(o, answer.id);
      return;
    }
    if (answer === undefined && !this.#socket.connected) return;
    this.#outgoing.delete(o);
    this.#on.failed(o, reasonOf(answer));
  }

  #received(event, args) {
    if (this.#held !== null) {
      this.#held.push([event, args]);
      return;
    }
    if (event === "presence" && args[0]?.room === this.#room) {
      this.#changeMembers(args[0].joined ?? [], args[0].left ?? []);
      return;
    }
    // With recovery, what the client is to say when it comes back stands behind everything.
    if (typeof args.at(-1) === "string") args = args.slice(0, -1);
    const meta = args.at(-1);
    if (meta?.room !== this.#room) return;
    if (event === "typing") {
      if (!this.#ourIds.has(meta.from?.id)) this.#on.typing(meta.from ?? {}, args[0] !== false);
      return;
    }
    this.#tell([this.#message(meta.id, event, args.slice(0, -1), meta)], false);
  }

  #tell(messages, past) {
    const fresh = messages.filter((m) => m.event !== "typing" && (m.id === undefined || !this.#shown.has(m.id)));
    for (const m of messages) {
      if (m.id === undefined) continue;
      this.#shown.add(m.id);
      this.#lastId = m.id;
    }
    if (fresh.length > 0) this.#on.messages(fresh, past);
  }

  #fromHistory(m) {
    return this.#message(idOf(m), m.event, m.args ?? ("data" in m ? [m.data] : []), m.meta ?? {});
  }

  #message(id, event, args, meta) {
    const from = meta.from ?? {};
    return { id, event: String(event), args, from, meta, mine: this.#ourIds.has(from.id) };
  }

  #setMembers(list) {
    this.#members = new Map(list.map((p) => [p.id, p]));
    this.#on.members([...this.#members.values()], this.#socket.id);
  }

  // Presence updates may repeat what the list already said: only what changes it is told.
  #changeMembers(joined, left) {
    const came = joined.filter((p) => !this.#members.has(p.id));
    for (const p of joined) this.#members.set(p.id, p);
    // A session that comes back on another node is there before its old one says that it has left.
    const here = (p) => !p.node || (this.#members.get(p.id)?.node ?? p.node) === p.node;
    const went = left.filter((p) => here(p) && this.#members.delete(p.id));
    this.#on.members([...this.#members.values()], this.#socket.id);
    const others = (p) => !this.#ourIds.has(p.id);
    if (came.some(others) || went.some(others)) this.#on.came(came.filter(others), went.filter(others));
  }

  #lost(reason) {
    this.#turn++;
    this.#held = [];
    if (this.#socket.active) this.#on.state("reconnecting");
    else this.#on.state("disconnected", reason === "io server disconnect" ? "The server closed the connection." : "");
  }

  #unreachable(err) {
    if (this.#socket.active) this.#on.state(this.#entered ? "reconnecting" : "connecting", "The server does not answer yet.");
    else this.#on.state("disconnected", `The server refused: ${err.message}`);
  }

  /** A call's answer, or undefined when none came: too late, or the connection is gone. */
  async #call(name, ...args) {
    try {
      return await this.#socket.timeout(answerWithin).emitWithAck(name, ...args);
    } catch {
      return undefined;
    }
  }
}

const idOf = (m) => m?.id ?? m?.meta?.id;

const reasonOf = (answer) => answer?.error?.message || answer?.error?.code || "the server did not answer";
