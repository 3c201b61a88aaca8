// What part of a map is seen: moved and scaled by wheel, fingers, mouse and keys.

const MARGIN = 0.11; // of each side around everything
const DEEPEST = 60; // times as large as everything
const STEP = 60; // pixels an arrow key moves it

export class Lens {
  #canvas;
  #onMove;
  #pointers = new Map();
  #traveled = 0;
  #center = { x: 0, y: 0 };
  #scale = 1; // pixels a unit
  #whole = { x: 0, y: 0, scale: 1 };

  // onMove() is called when another part is to be seen; onClick(point) in pixels, for a press that did not move.
  constructor(canvas, onMove, onClick) {
    this.#canvas = canvas;
    this.#onMove = onMove;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => {
        const isClick = name === "pointerup" && this.#pointers.size === 1 && this.#traveled < 6;
        this.#pointers.delete(event.pointerId);
        if (isClick) onClick(inside(canvas, event));
      });
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  get zoom() {
    return this.#scale / this.#whole.scale;
  }

  get isMoving() {
    return this.#pointers.size > 0 && this.#traveled >= 6;
  }

  // See everything in a box [low, high].
  fit(low, high) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const room = 1 - 2 * MARGIN;
    const scale = Math.min((room * width) / (high[0] - low[0] || 1), (room * height) / (high[1] - low[1] || 1));
    this.#whole = { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, scale };
    this.reset();
  }

  reset() {
    this.#center = { x: this.#whole.x, y: this.#whole.y };
    this.#scale = this.#whole.scale;
    this.#moved();
  }

  // The pixel of a point of the map; y points upwards on the map.
  toPixel(x, y) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return { x: width / 2 + (x - this.#center.x) * this.#scale, y: height / 2 - (y - this.#center.y) * this.#scale };
  }

  zoomBy(factor, at = { x: this.#canvas.clientWidth / 2, y: this.#canvas.clientHeight / 2 }) {
    const before = this.toPoint(at);
    this.#scale = Math.min(DEEPEST, Math.max(1, this.zoom * factor)) * this.#whole.scale;
    const after = this.toPoint(at);
    this.#center.x += before.x - after.x;
    this.#center.y += before.y - after.y;
    if (this.zoom === 1) this.#center = { x: this.#whole.x, y: this.#whole.y };
    this.#moved();
  }

  // The point of the map under a pixel.
  toPoint({ x, y }) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return { x: this.#center.x + (x - width / 2) / this.#scale, y: this.#center.y - (y - height / 2) / this.#scale };
  }

  #panBy(dx, dy) {
    if (this.zoom === 1) return;
    this.#center.x -= dx / this.#scale;
    this.#center.y += dy / this.#scale;
    this.#moved();
  }

  // A finger scrolls the page over a map that is seen whole, and moves one that is not.
  #moved() {
    this.#canvas.classList.toggle("deep", this.zoom > 1);
    this.#onMove();
  }

  #wheel(event) {
    const factor = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015));
    if (factor < 1 && this.zoom === 1) return; // nothing more to see: the page scrolls
    event.preventDefault();
    this.zoomBy(factor, inside(this.#canvas, event));
  }

  #down(event) {
    if (event.button !== 0) return;
    if (this.#pointers.size === 0) this.#traveled = 0;
    this.#pointers.set(event.pointerId, inside(this.#canvas, event));
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = inside(this.#canvas, event);
    this.#pointers.set(event.pointerId, now);
    this.#traveled += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.#pointers.size === 1) return this.#panBy(now.x - before.x, now.y - before.y);
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const [wide, narrow] = [now, before].map((point) => Math.hypot(point.x - other.x, point.y - other.y));
    this.zoomBy(wide / Math.max(1, narrow), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
  }

  #key(event) {
    const ways = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ways) this.#panBy(...ways[event.key].map((way) => way * STEP));
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }
}

export function inside(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
