// One price: its name, its number, its line.

import uPlot from "uplot";

const most = 240; // points of a line
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export class Card {
  watched = false;
  #at = [];      // seconds
  #prices = [];
  #plot;
  #parts;

  /**
   * @param {HTMLTemplateElement} template
   * @param {(on: boolean) => void} onWatch  the button was pressed
   */
  constructor(template, symbol, name, onWatch) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.id = `card-${symbol}`;
    const part = (c) => this.element.querySelector(`.${c}`);
    this.#parts = { price: part("price"), change: part("change"), spark: part("spark"), note: part("note"), watch: part("watch") };
    part("symbol").textContent = symbol;
    part("name").textContent = name;
    this.#parts.watch.setAttribute("aria-label", `Watch ${name}`);
    this.#parts.watch.addEventListener("click", () => onWatch(!this.watched));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot?.redraw(false));
    new ResizeObserver(() => this.#fit()).observe(this.#parts.spark);
  }

  watch(on) {
    this.watched = on;
    this.element.dataset.watched = on;
    this.#parts.watch.setAttribute("aria-pressed", on);
    this.#parts.watch.textContent = on ? "Watching" : "Watch";
    this.say(on ? "waiting for a price" : this.#prices.length > 0 ? "as it was when you looked away" : "");
  }

  say(text) { this.#parts.note.textContent = text; }

  /** begin draws what was before; what is there already stays. */
  begin(prices) {
    for (const p of prices) if (!(p.at / 1000 <= this.#at.at(-1))) this.#push(p);
    if (prices.length > 0) this.#show(prices.at(-1));
  }

  add(price) {
    this.#push(price);
    this.#show(price);
  }

  #push(price) {
    this.#at.push(price.at / 1000);
    this.#prices.push(price.price);
    if (this.#at.length > most) {
      this.#at.shift();
      this.#prices.shift();
    }
  }

  #show({ price, open }) {
    const percent = (price / open - 1) * 100;
    const way = percent < 0 ? "down" : "up";
    this.#parts.price.textContent = money.format(price);
    this.#parts.change.textContent = `${way === "up" ? "▲" : "▼"} ${Math.abs(percent).toFixed(2)} %`;
    this.#parts.change.setAttribute("aria-label", `${way} ${Math.abs(percent).toFixed(2)} percent`);
    this.#parts.change.setAttribute("role", "img");
    this.element.dataset.way = way;
    this.say("");
    this.#draw();
  }

  #draw() {
    this.#plot ??= this.#make();
    this.#plot.setData([this.#at, this.#prices]);
  }

  #make() {
    const color = (name) => getComputedStyle(this.element).getPropertyValue(name);
    const { clientWidth: width, clientHeight: height } = this.#parts.spark;
    return new uPlot({
      width, height, padding: [4, 2, 4, 2],
      cursor: { show: false }, legend: { show: false }, select: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: false }, y: { range: (_, low, high) => [low - 0.01, high + 0.01] } },
      series: [{}, { width: 2, points: { show: false }, stroke: () => color("--way"), fill: () => color("--way-back") }],
    }, [[], []], this.#parts.spark);
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#parts.spark;
    if (width > 0) this.#plot?.setSize({ width, height });
  }
}
