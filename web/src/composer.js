// Where one writes.

import { $ } from "./dom.js";

const mostLines = 8;
const quietAfter = 3_000; // ms without a key after which we no longer count as writing

export class Composer {
  #text = $("text");
  #sent = [];      // what was sent, for the arrow keys
  #back = 0;       // how far back the arrow keys have gone
  #pause;
  #shift = false;  // held with the last key

  constructor({ onSend, onTyping, onEscape }) {
    this.onTyping = onTyping;
    $("composer").addEventListener("submit", (ev) => {
      ev.preventDefault();
      this.#send(onSend);
    });
    this.#text.addEventListener("keydown", (ev) => {
      this.#shift = ev.shiftKey;
      if (ev.isComposing) return; // an input method is choosing characters: Enter is its own
      if (ev.key === "Enter" && !ev.shiftKey) {
        ev.preventDefault();
        this.#send(onSend);
      } else if (ev.key === "Escape") {
        ev.preventDefault();
        onEscape();
      } else if ((ev.key === "ArrowUp" || ev.key === "ArrowDown") && this.#recall(ev.key === "ArrowUp")) {
        ev.preventDefault();
      }
    });
    // Some keyboards, on phones above all, bring a line break without a key that says Enter.
    this.#text.addEventListener("beforeinput", (ev) => {
      if (ev.inputType !== "insertLineBreak" || this.#shift) return;
      ev.preventDefault();
      this.#send(onSend);
    });
    this.#text.addEventListener("input", () => {
      this.#back = 0;
      this.#grow();
      this.#typing(this.#text.value.trim() !== "");
    });
    this.#text.addEventListener("blur", () => this.#typing(false));
  }

  /** Focus, and add what was typed elsewhere. */
  focus(text = "") {
    this.#text.focus();
    if (text) {
      this.#text.setRangeText(text, this.#text.selectionStart, this.#text.selectionEnd, "end");
      this.#text.dispatchEvent(new Event("input"));
    }
  }

  #send(onSend) {
    const text = this.#text.value.trim();
    if (text === "") return;
    clearTimeout(this.#pause);
    this.#sent.push(text);
    this.#back = 0;
    this.#text.value = "";
    this.#grow();
    onSend(text);
    this.#text.focus();
  }

  #typing(on) {
    clearTimeout(this.#pause);
    if (on) this.#pause = setTimeout(() => this.onTyping(false), quietAfter);
    this.onTyping(on);
  }

  // In an empty field, or one that shows an earlier message unchanged, the arrows walk what was sent.
  #recall(older) {
    const shown = this.#back > 0 ? this.#sent.at(-this.#back) : "";
    if (this.#text.value !== shown) return false;
    const to = this.#back + (older ? 1 : -1);
    if (to < 0 || to > this.#sent.length) return false;
    this.#back = to;
    this.#text.value = to > 0 ? this.#sent.at(-to) : "";
    this.#grow();
    return true;
  }

  #grow() {
    this.#text.style.height = "auto";
    const line = parseFloat(getComputedStyle(this.#text).lineHeight);
    const borders = this.#text.offsetHeight - this.#text.clientHeight;
    this.#text.style.height = `${Math.min(this.#text.scrollHeight + borders, line * mostLines)}px`;
  }
}
