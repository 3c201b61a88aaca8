// What the lasso took: how many images of which classes, and the nearest of them to what is asked about.

import { button, element, make, setText } from "./dom.js";
import { count } from "./words.js";

const NAMED = 4; // classes
const HITS = 12;

export class Fence {
  #nearest;
  #onChoose;
  #items = null; // [{ id, label }]
  #asking = null;

  // nearest(asked, signal) gives the promise of what /api/nearest answers; onChoose(id): an item is chosen.
  constructor(nearest, onChoose) {
    [this.#nearest, this.#onChoose] = [nearest, onChoose];
  }

  // Null for all.
  take(items) {
    this.#items = items;
    this.#asking?.abort();
    element("fence").hidden = !items;
    element("fence-hits").replaceChildren();
    if (items) setText(element("fence-count"), summary(items));
  }

  // The hits that a vector has among what was taken, with pictures; null where all items may be found, or
  // another vector is asked about meanwhile.
  async among(vector) {
    this.#asking?.abort();
    if (!this.#items) return null;
    const asking = (this.#asking = new AbortController());
    setText(element("fence-failed"), "");
    try {
      const asked = { vector, items: this.#items.map(({ id }) => id), k: HITS };
      const { hits } = await this.#nearest(asked, asking.signal);
      if (asking.signal.aborted) return null;
      element("fence-hits").replaceChildren(...hits.map((hit) => this.#tile(hit)));
      return { hits, pictures: Object.fromEntries(hits.map(({ id, picture }) => [id, picture])) };
    } catch (problem) {
      if (!asking.signal.aborted) setText(element("fence-failed"), problem.message);
      return null;
    }
  }

  #tile({ id, label, score, picture }) {
    const tile = button("", "", () => this.#onChoose(id));
    const image = make("img");
    image.src = picture;
    image.alt = "";
    image.width = image.height = 28;
    tile.append(image, make("span", "", score.toFixed(3)));
    tile.setAttribute("aria-label", `Search from item ${id}${label === null ? "" : `, class ${label}`}, score ${score.toFixed(3)}`);
    tile.title = `item ${id}${label === null ? "" : `, class ${label}`}`;
    const item = make("li");
    item.append(tile);
    return item;
  }
}

// How many there are, of the most frequent classes first.
function summary(items) {
  const numbers = new Map();
  for (const { label } of items) if (label !== null) numbers.set(label, (numbers.get(label) ?? 0) + 1);
  const classes = [...numbers].sort((one, other) => other[1] - one[1]);
  const named = classes.slice(0, NAMED).map(([label, number]) => `${count(number)} of class ${label}`);
  const others = classes.length > NAMED ? [`${classes.length - NAMED} other classes`] : [];
  const all = items.length === 1 ? "1 image" : `${count(items.length)} images`;
  return `${all} in the lasso${named.length ? `: ${[...named, ...others].join(", ")}` : ""}. Only these are found here.`;
}
