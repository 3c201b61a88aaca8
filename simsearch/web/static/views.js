// The views of an answer, one at a time: its nearest images, the map, the network inside, why,
// known mistakes, the tray.

import { Compare } from "./compare.js";
import { element } from "./dom.js";
import { Fence } from "./fence.js";
import { Inside } from "./inside.js";
import { GalleryMap } from "./map.js";
import { Mistakes } from "./mistakes.js";
import { Why } from "./why.js";
import { subjectOf } from "./words.js";

const NAMES = ["hits", "map", "inside", "why", "mistakes", "compare"];

export class Views {
  #client;
  #map;
  #inside = new Inside();
  #compare;
  #why;
  #mistakes;
  #fence;
  #query = null; // what the map was shown last
  #index = null;
  #shown = "hits";
  #onShow;
  #pictures = new Map();
  #loading = null;

  // onChoose(id, view): an item is chosen, to be shown in a view; onShow(name): another view is shown, which may need a vector.
  constructor(client, onChoose, onShow) {
    this.#client = client;
    this.#onShow = onShow;
    const place = () => ({ index: this.#index.name });
    this.#map = new GalleryMap((id) => this.#picture(id), onChoose, (items) => this.#enclose(items));
    this.#fence = new Fence((asked, signal) => client.nearest(asked, place(), signal), onChoose);
    this.#mistakes = new Mistakes(() => client.mistakes(place()), (id) => this.#picture(id), (id) => onChoose(id, "why"));
    const vectorOf = (id) => client.itemVector(id, place());
    this.#compare = new Compare(vectorOf);
    this.#why = new Why(vectorOf, (picture, signal) => client.vector(picture, place(), signal));
    for (const name of NAMES) tab(name).addEventListener("click", () => this.#choose(name));
    element("tabs").addEventListener("keydown", (event) => this.#key(event));
  }

  get shown() {
    return this.#shown;
  }

  // Whether what is shown needs the vector of what is asked about.
  get needsVector() {
    return this.#shown !== "hits" && this.#shown !== "mistakes";
  }

  get needsLayers() {
    return this.#shown === "inside";
  }

  use(index) {
    this.#index = index;
    this.#pictures.clear();
    this.#loading = null;
    this.#map.load(null, index.classes);
    this.#compare.clear();
    this.#why.isDrawn = subjectOf(index).isDrawn;
    this.#mistakes.use(index);
    tab("mistakes").hidden = index.classes.length === 0;
    this.show(this.#shown);
  }

  // Show a view; the nearest images for a name that is none.
  show(name) {
    this.#shown = NAMES.includes(name) ? name : "hits";
    for (const each of NAMES) {
      const isShown = each === this.#shown;
      tab(each).setAttribute("aria-selected", isShown);
      tab(each).tabIndex = isShown ? 0 : -1;
      element(`panel-${each}`).hidden = !isShown;
    }
    document.body.dataset.view = this.#shown;
    if (this.#shown === "map" && this.#index) this.#loadMap();
    if (this.#shown === "mistakes") this.#mistakes.show();
    if (this.#shown !== "why") this.#why.show(null);
  }

  // An answer with what else was asked for, and the name of what it is about; or null for none.
  answer(found, name) {
    const { vector, answer } = found ?? {};
    this.#query = vector ? { vector, hits: answer.hits, pictures: answer.pictures.items } : null;
    this.#showQuery();
    this.#inside.show(found);
    this.#compare.offer(found, name);
    if (this.#shown === "why") this.#why.show(found);
  }

  #enclose(items) {
    this.#fence.take(items);
    this.#showQuery();
  }

  // What is asked about on the map, with its hits among what the lasso took.
  async #showQuery() {
    const query = this.#query;
    const among = query && (await this.#fence.among(query.vector));
    if (query === this.#query) this.#map.show(among ? { ...query, ...among } : query);
  }

  #choose(name) {
    this.show(name);
    this.#onShow(this.#shown);
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = NAMES[(NAMES.indexOf(this.#shown) + step + NAMES.length) % NAMES.length];
    this.#choose(next);
    tab(next).focus();
    event.preventDefault();
  }

  async #loadMap() {
    const index = this.#index;
    if (this.#map.isLoaded || this.#loading === index) return;
    this.#loading = index;
    const failed = element("map-failed");
    failed.textContent = "";
    try {
      const document = await this.#client.map({ index: index.name });
      if (this.#index === index) this.#map.load(document, index.classes);
      this.#onShow(this.#shown);
    } catch (problem) {
      if (this.#index === index) failed.textContent = problem.message;
    } finally {
      if (this.#loading === index) this.#loading = null;
    }
  }

  #picture(id) {
    if (!this.#pictures.has(id)) this.#pictures.set(id, this.#client.picture(id, { index: this.#index.name }));
    return this.#pictures.get(id);
  }
}

function tab(name) {
  return element(`tab-${name}`);
}
