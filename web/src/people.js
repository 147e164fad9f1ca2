// Who is here, and who is writing.

import { $, el } from "./dom.js";
import { displayName, hueOf, initialOf, listNames } from "./format.js";

const typingFor = 5_000; // ms that a "typing" holds without being repeated

export class People {
  #typing = new Map(); // id → {name, timer}

  constructor() {
    $("peoplebutton").addEventListener("click", () => this.toggle());
  }

  /** On a phone the list is a sheet over the messages. */
  toggle(open = $("people").dataset.open === undefined) {
    if (open) $("people").dataset.open = "";
    else delete $("people").dataset.open;
    $("peoplebutton").setAttribute("aria-expanded", String(open));
  }

  get isOpen() {
    return $("people").dataset.open !== undefined;
  }

  show(members, ownId) {
    const order = members.map((p) => ({ p, name: displayName(p), own: p.id === ownId }))
      .sort((a, b) => b.own - a.own || a.name.localeCompare(b.name) || String(a.p.id).localeCompare(String(b.p.id)));
    $("members").replaceChildren(...order.map(({ p, name, own }) => {
      const circle = el("span", { class: "circle small", "aria-hidden": "true" }, initialOf(name));
      circle.style.setProperty("--hue", hueOf(name));
      return el("li", { title: p.user ? "Signed in" : "Name as claimed", "data-id": p.id },
        circle, el("span", { class: "who" }, name), own ? el("span", { class: "quiet" }, "you") : undefined,
        p.node ? el("span", { class: "node", title: `Connected to the node ${p.node}` }, p.node) : undefined);
    }));
    $("headcount").textContent = String(members.length);
    const here = new Set(members.map((p) => p.id));
    for (const id of [...this.#typing.keys()]) if (!here.has(id)) this.typing({ id }, false);
  }

  typing(who, on) {
    clearTimeout(this.#typing.get(who.id)?.timer);
    if (on) this.#typing.set(who.id, { name: displayName(who), timer: setTimeout(() => this.typing(who, false), typingFor) });
    else this.#typing.delete(who.id);
    const names = [...new Set([...this.#typing.values()].map((t) => t.name))];
    $("typing").textContent = names.length === 0 ? "" : `${listNames(names, 3)} ${names.length > 1 ? "are" : "is"} writing…`;
  }

  /** Without a connection nobody is known to be writing. */
  nobodyWrites() {
    for (const id of [...this.#typing.keys()]) this.typing({ id }, false);
  }

  clear() {
    this.nobodyWrites();
    this.show([], "");
  }
}
