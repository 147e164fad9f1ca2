// The messages: rows are added at the end, follow the newest while the reader is at the end, and can be
// walked with the arrow keys. The oldest rows go when there are too many.

import { $, el } from "./dom.js";
import { authorOf, clockTime, compactJSON, dayName, displayName, fullTime, hueOf, initialOf, jsonPieces, listNames, pythonSnippet, timeOf } from "./format.js";

const mostRows = 600;          // the page stays quick; older messages are in the room's history
const sameBreath = 3 * 60_000; // ms within which messages of one person share a heading
const nearEnd = 80;            // px from the end that still count as being there

export class Log {
  #box = $("log");
  #newer = $("newer");
  #last = {};        // of the last row: author, at, day
  #notes;            // the last row when it is a coming-and-going note
  #unseen = 0;
  #following = true; // the reader is at the end
  #rows = new WeakMap(); // Outgoing → its row

  constructor({ onWrite, onRetry }) {
    this.onRetry = onRetry;
    this.#box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#box.addEventListener("keydown", (ev) => this.#key(ev, onWrite));
    this.#newer.addEventListener("click", () => this.#toEnd());
    // A keyboard that slides in, or a field that grows, must not hide the newest message.
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#box);
  }

  /** Empties it for a room. */
  open(room) {
    this.#box.replaceChildren(el("div", { class: "empty", id: "empty" },
      el("p", {}, `Nothing has been said in ${room} yet.`),
      el("p", { class: "quiet" }, "Write the first message, or push one over ZeroMQ:"),
      el("pre", { class: "snippet" }, pythonSnippet(room))));
    this.#last = {};
    this.#notes = undefined;
    this.#unseen = 0;
    this.#following = true;
    this.#newer.hidden = true;
  }

  /** Adds messages. Those of the past are not read out one by one by a screen reader. */
  add(messages, past) {
    if (past) this.#box.setAttribute("aria-live", "off");
    for (const m of messages) this.#addMessage(m);
    if (past) requestAnimationFrame(() => this.#box.setAttribute("aria-live", "polite"));
    this.#settle(past ? 0 : messages.filter((m) => !m.mine).length);
  }

  /** One of ours, before the server has confirmed it. */
  sending(o, name) {
    const row = this.#row({ mine: true, author: "me", name, at: o.at, via: undefined }, el("p", { class: "text" }, o.text));
    row.classList.add("pending");
    row.append(el("p", { class: "fate" }, "Sending…"));
    this.#rows.set(o, row);
    this.#following = true;
    this.#settle(0);
  }

  delivered(o, id) {
    const row = this.#rows.get(o);
    row.classList.remove("pending", "failed");
    row.dataset.id = id;
    row.querySelector(".fate").replaceChildren(el("span", { class: "tick", role: "img", "aria-label": "Delivered", title: "Delivered" }, "✓"));
  }

  failed(o, why) {
    const row = this.#rows.get(o);
    row.classList.replace("pending", "failed");
    const retry = el("button", { type: "button", class: "link" }, "Try again");
    retry.addEventListener("click", () => {
      row.classList.replace("failed", "pending");
      row.querySelector(".fate").replaceChildren("Sending…");
      this.onRetry(o);
    });
    row.querySelector(".fate").replaceChildren(`Not delivered: ${why}. `, retry);
    this.#settle(0);
  }

  /** Who came and went. Notes that follow each other are one row, so that a bad network does not flood the room. */
  came(joined, left) {
    if (!this.#notes || this.#box.lastElementChild !== this.#notes.row) {
      this.#notes = { row: this.#note(""), joined: new Map(), left: new Map(), back: new Map() };
    }
    const n = this.#notes;
    for (const p of left) {
      const name = displayName(p);
      n.back.delete(name);
      if (!n.joined.delete(name)) n.left.set(name, p);
    }
    for (const p of joined) {
      const name = displayName(p);
      if (n.left.delete(name)) n.back.set(name, p);
      else n.joined.set(name, p);
    }
    const part = (people, one, many) => people.size > 0 && `${listNames([...people.keys()])} ${people.size > 1 ? many : one}`;
    const text = [part(n.joined, "joined", "joined"), part(n.back, "is back", "are back"), part(n.left, "left", "left")].filter(Boolean).join(" · ");
    if (text) {
      n.row.textContent = text;
    } else { // came and went within one note: nothing to tell any more
      n.row.remove();
      this.#notes = undefined;
    }
    this.#settle(0);
  }

  /** A line of ours between the messages. */
  note(text) {
    this.#note(text);
    this.#settle(0);
  }

  focus() {
    (this.#messageRows().at(-1) ?? this.#box).focus({ preventScroll: false });
  }

  #addMessage(m) {
    const name = authorOf(m.from, m.meta.via);
    const plain = m.event === "message" && m.args.length === 1 && typeof m.args[0] === "string";
    const what = plain ? el("p", { class: "text" }, m.args[0]) : eventBox(m);
    const row = this.#row({ mine: m.mine, author: `${m.from.id}/${name}/${m.meta.via}`, name, at: timeOf(m.meta), via: m.meta.via }, what);
    if (m.id !== undefined) row.dataset.id = m.id;
    if (m.mine) row.append(el("p", { class: "fate" }, el("span", { class: "tick", role: "img", "aria-label": "Delivered", title: "Delivered" }, "✓")));
  }

  #row({ mine, author, name, at, via }, what) {
    this.#dayHeading(at);
    const goesOn = author === this.#last.author && mine === this.#last.mine && at - this.#last.at < sameBreath;
    const row = el("article", { class: `row ${mine ? "mine" : "theirs"}${goesOn ? " goes-on" : ""}`, tabindex: "-1" });
    if (via) row.dataset.via = via;
    const circle = el("span", { class: `circle${via === "zeromq" ? " feed" : ""}`, "aria-hidden": "true" }, via === "zeromq" ? "⇢" : initialOf(name));
    circle.style.setProperty("--hue", hueOf(name));
    const head = el("header", {},
      el("span", { class: "who" }, mine ? "You" : name),
      via === "zeromq" ? el("span", { class: "badge", title: "Came in over ZeroMQ" }, "ZeroMQ") : undefined,
      el("time", { datetime: new Date(at).toISOString(), title: fullTime(at) }, clockTime(at)));
    row.append(circle, el("div", { class: "bubble" }, head, what));
    this.#append(row);
    this.#last = { author, mine, at, day: this.#last.day };
    return row;
  }

  #dayHeading(at) {
    const day = new Date(at).toDateString();
    if (day === this.#last.day) return;
    this.#last = { day };
    this.#append(el("h2", { class: "day" }, dayName(at)));
  }

  #note(text) {
    const row = el("p", { class: "note" }, text);
    this.#append(row);
    this.#last = { day: this.#last.day };
    return row;
  }

  #append(row) {
    $("empty")?.remove();
    this.#box.append(row);
    while (this.#box.childElementCount > mostRows) this.#box.firstElementChild.remove();
  }

  #messageRows() {
    return [...this.#box.querySelectorAll(".row")];
  }

  #key(ev, onWrite) {
    if (ev.ctrlKey || ev.metaKey || ev.altKey || ev.target.closest("button")) return;
    const rows = this.#messageRows();
    const at = rows.indexOf(document.activeElement);
    const go = { ArrowUp: at < 0 ? rows.length - 1 : Math.max(0, at - 1), ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[ev.key];
    if (go !== undefined) {
      ev.preventDefault();
      if (go >= rows.length) onWrite("");
      else rows[go]?.focus();
    } else if (ev.key === "Enter" || (ev.key.length === 1 && ev.key !== "?" && ev.key !== " ")) {
      ev.preventDefault();
      onWrite(ev.key === "Enter" ? "" : ev.key);
    }
  }

  #scrolled() {
    this.#following = this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < nearEnd;
    if (this.#following) {
      this.#unseen = 0;
      this.#newer.hidden = true;
    }
  }

  #settle(fresh) {
    if (this.#following) {
      this.#toEnd();
      return;
    }
    this.#unseen += fresh;
    if (this.#unseen === 0) return;
    this.#newer.textContent = `${this.#unseen} new ${this.#unseen === 1 ? "message" : "messages"} ↓`;
    this.#newer.hidden = false;
  }

  #toEnd() {
    this.#following = true;
    this.#box.scrollTop = this.#box.scrollHeight;
  }
}

/** Any event that is not a plain chat message: its name, and its values as compact JSON. */
function eventBox({ event, args }) {
  const box = el("div", { class: "event" });
  if (event !== "message") box.append(el("span", { class: "event-name" }, event));
  for (const arg of args) {
    const code = el("code", {});
    for (const [kind, text] of jsonPieces(compactJSON(arg))) code.append(el("span", { class: kind }, text));
    box.append(code);
  }
  return box;
}
