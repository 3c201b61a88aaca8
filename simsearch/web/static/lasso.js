// A lasso: a line drawn around some items of the map, which alone may then be found.

import { inside } from "./lens.js";

const STEP = 3; // pixels between two corners

export class Lasso {
  #canvas;
  #onChange;
  #line = []; // corners in pixels, while it is drawn
  #pointer = null;
  isOn = false; // whether a line is drawn with the pointer, and the map is not moved

  // onChange(corners, isClosed) is called with the corners in pixels while it is drawn and when it is closed.
  constructor(canvas, onChange) {
    this.#canvas = canvas;
    this.#onChange = onChange;
    // Before the lens, which would move the map.
    canvas.addEventListener("pointerdown", (event) => this.#down(event), { capture: true });
    canvas.addEventListener("pointermove", (event) => this.#move(event), { capture: true });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.#up(event), { capture: true });
    }
  }

  #down(event) {
    if (!this.isOn || event.button !== 0) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#line = [inside(this.#canvas, event)];
    this.#onChange(this.#line, false);
  }

  #move(event) {
    if (!this.isOn) return;
    event.stopImmediatePropagation();
    if (event.pointerId !== this.#pointer) return;
    const [now, last] = [inside(this.#canvas, event), this.#line.at(-1)];
    if (Math.hypot(now.x - last.x, now.y - last.y) < STEP) return;
    this.#line.push(now);
    this.#onChange(this.#line, false);
  }

  #up(event) {
    if (!this.isOn || event.pointerId !== this.#pointer) return;
    event.stopImmediatePropagation();
    this.#pointer = null;
    this.#onChange(this.#line, true);
    this.#line = [];
  }
}

// Whether a point lies inside corners that are joined in turn, by the crossings of a line to the right.
export function encloses(corners, x, y) {
  let isInside = false;
  corners.forEach((to, i) => {
    const from = corners.at(i - 1);
    if (from.y > y === to.y > y) return;
    if (x < from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x)) isInside = !isInside;
  });
  return isInside;
}
