// Known mistakes: items whose nearest image is of another class, by pair of classes. A click shows why.

import { button, element, make, setText } from "./dom.js";
import { count } from "./words.js";

const SHOWN = 24; // of a pair, before the others are asked for

export class Mistakes {
  #ask;
  #pictureOf;
  #onChoose;
  #index = null;
  #pairs = null;

  // ask() gives the promise of what /api/mistakes answers, pictureOf(id) that of the address of an item's
  // picture; onChoose(id): an item is chosen.
  constructor(ask, pictureOf, onChoose) {
    [this.#ask, this.#pictureOf, this.#onChoose] = [ask, pictureOf, onChoose];
  }

  use(index) {
    this.#index = index;
    this.#pairs = null;
    element("mistakes-pairs").replaceChildren();
    element("mistakes").replaceChildren();
  }

  // Find them, the first time they are shown.
  async show() {
    const index = this.#index;
    if (!index || this.#pairs) return;
    setText(element("mistakes-count"), "Looking for them…");
    setText(element("mistakes-failed"), "");
    try {
      const found = await this.#ask();
      if (this.#index === index) this.#list(found);
    } catch (problem) {
      if (this.#index !== index) return;
      setText(element("mistakes-count"), "");
      setText(element("mistakes-failed"), problem.message);
    }
  }

  #list({ items, mistakes, pairs }) {
    this.#pairs = pairs;
    const many = mistakes === 1 ? "1 image has" : `${count(mistakes)} of ${count(items)} images have`;
    setText(element("mistakes-count"), `${mistakes ? many : "No image has"} a nearest image of another class${
      mistakes ? ". Choose one to see why." : "."}`);
    element("mistakes-pairs").replaceChildren(...pairs.map((pair) => {
      const chosen = button("", `${pair.label} → ${pair.nearest}: ${pair.items.length}`, () => this.#open(pair));
      chosen.setAttribute("aria-label", `${pair.items.length} of class ${pair.label} nearest to class ${pair.nearest}`);
      return chosen;
    }));
    if (pairs.length) this.#open(pairs[0]);
  }

  #open(pair, most = SHOWN) {
    this.#pairs.forEach((each, i) => element("mistakes-pairs").children[i].setAttribute("aria-pressed", each === pair));
    const tiles = pair.items.slice(0, most).map((mistake) => this.#tile(pair, mistake));
    const left = pair.items.length - tiles.length;
    if (left) {
      const more = make("li");
      more.append(button("", `${count(left)} more`, () => this.#open(pair, Infinity)));
      tiles.push(more);
    }
    element("mistakes").replaceChildren(...tiles);
  }

  #tile({ label, nearest: other }, { id, nearest }) {
    const tile = button("", "", () => this.#onChoose(id));
    tile.setAttribute("aria-label", `Item ${id}, class ${label}; its nearest image is item ${nearest}, class ${other}. Show why.`);
    const pictures = make("span", "pair");
    for (const each of [id, nearest]) {
      const image = make("img");
      image.alt = "";
      image.width = image.height = 28;
      this.#pictureOf(each).then((address) => (image.src = address), () => {});
      pictures.append(image);
    }
    tile.append(pictures, make("span", "", `item ${id}`));
    const item = make("li");
    item.append(tile);
    return item;
  }
}
