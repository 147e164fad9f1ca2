// The one way elements come into being here: text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** el("p", {class: "text", title: "…"}, "hello", el("b", {}, "you")) */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== undefined));
  return e;
}
