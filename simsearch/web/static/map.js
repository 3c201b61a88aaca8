// The map: every item a dot in the color of its class, and what is asked about moving among them.

import { beside, ease, line, outlined, readLooks, ring } from "./brush.js";
import { element, make, setText } from "./dom.js";
import { encloses, Lasso } from "./lasso.js";
import { place, Places } from "./layouts.js";
import { inside, Lens } from "./lens.js";
import { count } from "./words.js";

const REACH = 14; // pixels within which a dot is pointed at
const TRAIL = 24; // places where the drawing was
const FLIGHT = 700; // milliseconds from one layout to another
const PICTURED = 5; // hits whose pictures stand around what is asked about
const WORDS = { classes: "Circle of classes", pca: "PCA", tsne: "t-SNE" };
const NOTES = {
  classes: "A linear view in which each class has a place on a circle; what looks like several classes lies between them.",
  pca: "The two directions in which the vectors of the gallery differ most.",
  tsne: "t-SNE keeps neighbors together; far distances mean nothing. What is asked about lies among its nearest images.",
};

export class GalleryMap {
  #canvas = element("map");
  #context = this.#canvas.getContext("2d");
  #dots = make("canvas"); // all items, drawn again only when another part is seen
  #lasso = new Lasso(this.#canvas, (corners, isClosed) => this.#rope(corners, isClosed)); // before the lens
  #lens = new Lens(this.#canvas, () => this.#redraw(), (point) => this.#choose(point));
  #pictureOf;
  #onChoose;
  #onFence;
  #fence = null; // corners of what is taken by the lasso, on the map
  #places = null;
  #classes = [];
  #layout = null;
  #at = null; // x and y of each item in turn, on the way from one layout to another too
  #centers = [];
  #asked = null; // { vector, hits, pictures }
  #query = null; // the same with its place, x and y, and where it is drawn; null where it has none
  #trail = [];
  #pointed = null;
  #isStale = true;
  #frame = null;
  #flight = null;
  #looks = null;
  #images = new Map(); // of the hits that are pictured, by id

  // pictureOf(id) gives the promise of an address of an item's picture; onChoose(id): an item is chosen;
  // onFence(rows): the lasso took these items, [{ id, label }], or null for all.
  constructor(pictureOf, onChoose, onFence) {
    [this.#pictureOf, this.#onChoose, this.#onFence] = [pictureOf, onChoose, onFence];
    this.#canvas.addEventListener("pointermove", (event) => this.#point(inside(this.#canvas, event)));
    this.#canvas.addEventListener("pointerleave", () => this.#point(null));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#canvas.addEventListener("focus", () => this.#redraw());
    this.#canvas.addEventListener("blur", () => this.#point(null));
    element("map-in").addEventListener("click", () => this.#lens.zoomBy(1.6));
    element("map-out").addEventListener("click", () => this.#lens.zoomBy(1 / 1.6));
    element("map-all").addEventListener("click", () => this.#lens.reset());
    element("map-lasso").addEventListener("click", () => this.#takeLasso(!this.#lasso.isOn));
    element("map-free").addEventListener("click", () => this.#free());
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.#restyle());
    }
  }

  get isLoaded() {
    return this.#places !== null;
  }

  // document: what /api/map answers, or null; classes: the names of the gallery's classes.
  load(document, classes) {
    this.#places = document && new Places(document);
    this.#classes = classes;
    this.#looks = this.#asked = this.#query = this.#pointed = this.#layout = null;
    this.#trail = [];
    const shown = element("map-layouts");
    shown.replaceChildren();
    if (!document) return this.#redraw();
    for (const name of this.#places.layouts.keys()) {
      const button = make("button", "", WORDS[name]);
      button.type = "button";
      button.dataset.layout = name;
      button.addEventListener("click", () => this.#use(name));
      shown.append(button);
    }
    shown.hidden = this.#places.layouts.size < 2;
    this.#use([...this.#places.layouts.keys()][0]);
    const thinned = document.ids.length < document.items ? `${count(document.ids.length)} of ` : "";
    setText(element("map-count"), `${thinned}${count(document.items)} images`);
  }

  // What is asked about now: { vector, hits, pictures }, pictures by the id of a hit; null for nothing.
  show(query) {
    this.#keepImages(query);
    if (!query) this.#trail = [];
    const before = this.#query;
    this.#asked = query;
    const at = query && this.#whereIs(query);
    this.#query = at ? { ...query, ...at } : null;
    if (this.#query && before) {
      this.#query.from = { x: before.drawnX ?? before.x, y: before.drawnY ?? before.y, start: performance.now() };
    }
    if (this.#query) this.#trail = [...this.#trail, { x: this.#query.x, y: this.#query.y }].slice(-TRAIL);
    this.#describe();
    this.#later();
  }

  #keepImages(query) {
    const before = this.#images;
    this.#images = new Map();
    for (const { id } of query?.hits.slice(0, PICTURED) ?? []) {
      const image = before.get(id) ?? new Image();
      if (!image.src) {
        image.src = query.pictures[id];
        image.decode().then(() => this.#later(), () => {});
      }
      this.#images.set(id, image);
    }
  }

  #takeLasso(whether) {
    this.#lasso.isOn = whether;
    element("map-lasso").setAttribute("aria-pressed", whether);
    this.#canvas.classList.toggle("roped", whether);
    this.#point(null);
  }

  // The lasso is drawn, in pixels; once it is closed, what lies in it is taken.
  #rope(corners, isClosed) {
    this.#fence = corners.map((corner) => this.#lens.toPoint(corner));
    this.#later();
    if (!isClosed) return;
    this.#takeLasso(false);
    const rows = this.#places ? [...this.#places.ids.keys()] : [];
    const taken = rows.filter((row) => encloses(this.#fence, this.#at[2 * row], this.#at[2 * row + 1]));
    if (taken.length === 0) return this.#free();
    element("map-free").hidden = false;
    this.#onFence(taken.map((row) => ({ id: this.#places.ids[row], label: this.#classes[this.#places.labels?.[row]] ?? null })));
  }

  // All items may be found again.
  #free() {
    this.#fence = null;
    element("map-free").hidden = true;
    this.#onFence(null);
    this.#later();
  }

  #whereIs({ vector, hits }) {
    return this.#layout ? place(this.#layout, vector, hits, this.#places.rows) : { x: 0, y: 0 };
  }

  #use(name) {
    const { at: to, low, high } = this.#places.layouts.get(name);
    const from = this.#layout ? this.#at : to;
    this.#layout = this.#places.layouts.get(name);
    for (const button of element("map-layouts").children) {
      button.setAttribute("aria-pressed", button.dataset.layout === name);
    }
    setText(element("map-note"), NOTES[name]);
    this.#centers = this.#places.centers(to);
    this.#trail = [];
    this.#free(); // the line that was drawn lies elsewhere now
    this.#lens.fit(low, high);
    const isStill = from === to || matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#flight = isStill ? null : { from, to, start: performance.now() };
    this.#at = isStill ? to : from;
    if (this.#asked) this.show(this.#asked);
    this.#redraw();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    for (const canvas of [this.#canvas, this.#dots]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    if (this.#layout) this.#lens.fit(this.#layout.low, this.#layout.high);
  }

  #restyle() {
    this.#looks = null;
    this.#redraw();
  }

  #redraw() {
    this.#isStale = true;
    this.#later();
  }

  #later() {
    this.#frame ??= requestAnimationFrame((now) => {
      this.#frame = null;
      this.#draw(now);
    });
  }

  #draw(now) {
    const context = this.#context;
    const { width, height } = this.#canvas;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.#places || width === 0) return;
    this.#looks ??= readLooks(this.#canvas, this.#classes.length);
    this.#fly(now);
    if (this.#isStale) this.#drawDots();
    context.drawImage(this.#dots, 0, 0);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    this.#drawFence(context);
    this.#drawNames(context);
    const isMoving = this.#drawQuery(context, now);
    this.#drawPointed(context);
    if (isMoving || this.#flight) this.#later();
  }

  // One step of the way from one layout to another.
  #fly(now) {
    if (!this.#flight) return;
    const { from, to, start } = this.#flight;
    const part = ease(Math.min(1, Math.max(0, now - start) / FLIGHT));
    this.#at = part === 1 ? to : from.map((value, i) => value + part * (to[i] - value));
    if (part === 1) this.#flight = null;
    this.#isStale = true;
  }

  #drawDots() {
    this.#isStale = false;
    const context = this.#dots.getContext("2d");
    const { width, height } = this.#dots;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const side = devicePixelRatio * Math.min(7, this.#looks.dot * Math.sqrt(this.#lens.zoom));
    const { x: left, y: top } = this.#lens.toPixel(0, 0);
    const { x: right } = this.#lens.toPixel(1, 0);
    const [scale, x0, y0] = [(right - left) * devicePixelRatio, left * devicePixelRatio, top * devicePixelRatio];
    const at = this.#at;
    context.globalAlpha = 0.75;
    for (const { label, rows } of this.#places.groups) {
      context.fillStyle = this.#looks.colors[label] ?? this.#looks.muted;
      for (const row of rows) {
        const [x, y] = [x0 + at[2 * row] * scale, y0 - at[2 * row + 1] * scale];
        if (x > -side && y > -side && x < width + side && y < height + side) {
          context.fillRect(x - side / 2, y - side / 2, side, side);
        }
      }
    }
    context.globalAlpha = 1;
  }

  #drawFence(context) {
    if (!this.#fence || this.#flight) return;
    context.beginPath();
    for (const { x, y } of this.#fence) {
      const corner = this.#lens.toPixel(x, y);
      context.lineTo(corner.x, corner.y);
    }
    context.closePath();
    context.globalAlpha = 0.12;
    context.fillStyle = this.#looks.mark;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = this.#looks.mark;
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    context.stroke();
    context.setLineDash([]);
  }

  #drawNames(context) {
    if (this.#flight || this.#centers.length > 60) return;
    context.font = `700 ${this.#looks.text * 1.15}px ${this.#looks.family}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const middle = this.#lens.toPixel(...this.#layout.low.map((low, i) => (low + this.#layout.high[i]) / 2));
    for (const { label, x, y } of this.#centers) {
      const name = this.#classes[label];
      const shown = name.length > 18 ? `${name.slice(0, 9)}…${name.slice(-8)}` : name;
      const center = this.#lens.toPixel(x, y);
      const at = beside(center, middle, context.measureText(shown).width / 2, this.#looks.text, this.#canvas.clientWidth);
      outlined(context, shown, at, this.#looks.ink, this.#looks.page);
    }
  }

  // The trail, the lines to the hits and the query itself; true while it moves.
  #drawQuery(context, now) {
    const query = this.#query;
    if (!query || this.#flight) return false;
    const part = query.from ? ease(Math.min(1, Math.max(0, now - query.from.start) / 160)) : 1;
    query.drawnX = query.from ? query.from.x + part * (query.x - query.from.x) : query.x;
    query.drawnY = query.from ? query.from.y + part * (query.y - query.from.y) : query.y;
    const at = this.#lens.toPixel(query.drawnX, query.drawnY);
    this.#drawTrail(context);
    for (const hit of query.hits) {
      const row = this.#places.rows.get(hit.id);
      if (row === undefined) continue;
      const end = this.#lens.toPixel(this.#at[2 * row], this.#at[2 * row + 1]);
      line(context, [at, end], this.#looks.ink, 1, 0.5);
      ring(context, end, this.#looks.dot + 2, this.#looks.ink, this.#colorOf(row));
    }
    this.#drawImages(context, at);
    ring(context, at, this.#looks.text * 0.55, this.#looks.ink, this.#looks.mark);
    return part < 1;
  }

  // The pictures of the nearest on an arc towards the middle of the map, each with a line to its own dot.
  #drawImages(context, { x, y }) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const side = 28 * Math.max(1, Math.round(Math.min(width, height) / 260));
    const towards = Math.atan2(height / 2 - y, width / 2 - x);
    [...this.#images].forEach(([id, image], i) => {
      const row = this.#places.rows.get(id);
      if (!image.complete || !image.naturalWidth || row === undefined) return;
      const angle = towards + (i - (this.#images.size - 1) / 2) * 0.52;
      const at = { x: x + 2.6 * side * Math.cos(angle), y: y + 2.6 * side * Math.sin(angle) };
      line(context, [at, this.#pixelOf(row)], this.#looks.ink, 1.5, 0.8);
      context.imageSmoothingEnabled = false;
      context.fillStyle = this.#colorOf(row);
      context.fillRect(at.x - side / 2 - 2, at.y - side / 2 - 2, side + 4, side + 4);
      context.drawImage(image, at.x - side / 2, at.y - side / 2, side, side);
    });
  }

  #drawTrail(context) {
    const points = this.#trail.map(({ x, y }) => this.#lens.toPixel(x, y));
    for (let i = 1; i < points.length; i += 1) {
      line(context, [points[i - 1], points[i]], this.#looks.mark, 2.5, (0.6 * i) / points.length);
    }
  }

  #drawPointed(context) {
    if (this.#pointed === null) return;
    const at = this.#pixelOf(this.#pointed);
    ring(context, at, this.#looks.dot + 4, this.#looks.ink, this.#colorOf(this.#pointed));
  }

  #colorOf(row) {
    return this.#looks.colors[this.#places.labels?.[row]] ?? this.#looks.muted;
  }

  #pixelOf(row) {
    return this.#lens.toPixel(this.#at[2 * row], this.#at[2 * row + 1]);
  }

  #nearest(point) {
    if (!this.#places || this.#flight) return null;
    let [best, found] = [REACH ** 2, null];
    for (let row = 0; row < this.#at.length / 2; row += 1) {
      const { x, y } = this.#pixelOf(row);
      const distance = (x - point.x) ** 2 + (y - point.y) ** 2;
      if (distance < best) [best, found] = [distance, row];
    }
    return found;
  }

  // Show what is under a point, or nothing.
  async #point(point) {
    const row = point && !this.#lens.isMoving ? this.#nearest(point) : null;
    if (row === this.#pointed) return;
    this.#pointed = row;
    this.#later();
    const card = element("map-card");
    if (row === null) return card.classList.remove("shown");
    const id = this.#places.ids[row];
    const address = await this.#pictureOf(id).catch(() => null);
    if (this.#pointed !== row || address === null) return;
    const image = element("map-picture");
    image.src = address;
    setText(element("map-name"), this.#nameOf(row));
    const { x, y } = this.#pixelOf(row);
    card.classList.toggle("left", x > this.#canvas.clientWidth / 2);
    card.style.translate = `${x}px ${y}px`;
    card.classList.add("shown");
  }

  #nameOf(row) {
    const label = this.#classes[this.#places.labels?.[row]];
    return `item ${this.#places.ids[row]}${label === undefined ? "" : `, class ${label}`}`;
  }

  #choose(point) {
    const row = this.#nearest(point);
    if (row !== null) this.#onChoose(this.#places.ids[row]);
  }

  // With keys the middle of the map is pointed at: arrows move it, Enter searches, or takes all that is seen.
  #key(event) {
    const middle = { x: this.#canvas.clientWidth / 2, y: this.#canvas.clientHeight / 2 };
    if (event.key === "Enter" && this.#lasso.isOn) this.#rope(this.#corners(), true);
    else if (event.key === "Enter") this.#choose(this.#pointed === null ? middle : this.#pixelOf(this.#pointed));
    else if (event.key === "Escape") this.#point(null);
    else this.#point(middle);
  }

  #corners() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return [{ x: 0, y: 0 }, { x: width, y: 0 }, { x: width, y: height }, { x: 0, y: height }];
  }

  #describe() {
    const images = this.#places ? `Map of ${count(this.#places.ids.length)} images` : "Map";
    const groups = this.#classes.length ? ` in ${this.#classes.length} classes` : "";
    const nearest = this.#query?.hits[0];
    const label = nearest?.label == null ? "" : `, class ${nearest.label}`;
    const near = nearest ? `; what is asked about lies at item ${nearest.id}${label}` : "";
    this.#canvas.setAttribute("aria-label", images + groups + near);
  }
}
