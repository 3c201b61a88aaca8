// The nearest images: pictures that can be searched from.

import { element, make, resize, setPicture, setText } from "./dom.js";
import { fitsInto, nameElement, shorten, showName } from "./names.js";

const SHORT = 4; // letters of a name beside which there is room for the score
const MARKS = { same: "✓ ", other: "✗ ", "": "" };

export class Hits {
  #onChoose;
  #names = [];
  #short = new Map();
  #width = 0;

  // onChoose(id) is called when an item is chosen.
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  use(names) {
    this.#names = names;
    this.#width = 0;
    element("hits").classList.toggle("long", names.some((name) => name.length > SHORT));
  }

  // reference: the class that hits are compared with, or null.
  show(hits, reference) {
    const list = element("hits");
    resize(list, hits.length, () => this.#newHit());
    this.#measure(list);
    hits.forEach((hit, i) => this.#showHit(list.children[i].firstChild, hit, reference));
  }

  #showHit(button, hit, reference) {
    const [image, caption] = button.children;
    const kind = hit.label == null || reference === null ? "" : hit.label === reference ? "same" : "other";
    button.className = kind;
    button.dataset.id = hit.id;
    setPicture(image, hit.picture, "");
    caption.hidden = hit.score === undefined;
    const [mark, name, score] = caption.children;
    setText(mark, MARKS[kind]);
    const whole = hit.label ?? `id ${hit.id}`;
    showName(name, this.#short.get(whole) ?? whole, whole);
    setText(score, hit.score?.toFixed(3) ?? "");
    button.setAttribute("aria-label", spoken(hit, kind));
    button.title = hit.source ?? `item ${hit.id}`;
  }

  // Names are cut for the width that a picture has on this screen.
  #measure(list) {
    const width = list.firstElementChild?.firstChild.offsetWidth ?? 0;
    if (width === this.#width || width === 0) return;
    this.#width = width;
    const ems = Number.parseFloat(getComputedStyle(list).fontSize);
    this.#short = shorten(this.#names, fitsInto(width - 1.5 * ems, list));
  }

  #newHit() {
    const button = make("button");
    button.type = "button";
    const image = make("img");
    image.alt = ""; // the button says it all
    image.decoding = "sync";
    image.width = image.height = 28;
    const caption = make("span", "caption");
    caption.append(make("span", "mark"), nameElement(), make("span", "score"));
    button.append(image, caption);
    button.addEventListener("click", () => this.#onChoose(Number(button.dataset.id)));
    const item = make("li");
    item.append(button);
    return item;
  }
}

function spoken(hit, kind) {
  if (hit.score === undefined) return `Search from item ${hit.id}`;
  const label = hit.label == null ? "" : `class ${hit.label}, `;
  const other = kind === "other" ? ", another class" : "";
  return `Search from item ${hit.id}: ${label}score ${hit.score.toFixed(3)}${other}`;
}
