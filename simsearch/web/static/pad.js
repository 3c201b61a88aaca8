// The drawing area: strokes kept as vectors, or a file in their place, and what undo brings back of both.

import { paint } from "./strokes.js";

const STEP = 1 / 28; // how far an arrow key moves the pen
const ERASER = 1.5; // times as wide as the pen

export class Pad {
  #canvas;
  #context;
  #onChange;
  #strokes = []; // a stroke is changed only while it is drawn, before anything else holds the list
  #file = null; // in the place of strokes
  #item = null; // a picture shown over both, which are there again when it goes
  #past = []; // what undo brings back
  #pointer = null;
  #cursor = { x: 0.5, y: 0.5 };
  #penDown = false;
  width = 0.09;
  isErasing = false;
  isForDrawing = true; // or else for files alone

  // onChange(kind) is called after what is drawn changed ("stroke" while drawing, "edit" otherwise).
  constructor(canvas, onChange) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#onChange = onChange;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => this.#up(event));
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#draw());
    canvas.addEventListener("blur", () => this.#liftPen());
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  get strokes() {
    return this.#strokes;
  }

  // The file in the place of a drawing, or null.
  get file() {
    return this.#file;
  }

  get isEmpty() {
    return this.#strokes.length === 0 && this.#file === null;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  // An item's picture over what is drawn, which comes back with null.
  preview(picture) {
    this.#item = picture;
    this.#penDown = false;
    this.#draw();
  }

  // Put a file, or other strokes, in the place of what is there.
  replace({ file = null, strokes = [] }) {
    if (!this.isEmpty) this.#remember();
    [this.#file, this.#strokes] = [file, strokes];
    this.#letGo();
    this.#draw();
  }

  undo() {
    if (!this.canUndo) return;
    ({ strokes: this.#strokes, file: this.#file } = this.#past.pop());
    this.#letGo();
    this.#changed("edit");
  }

  clear() {
    this.replace({});
    this.#changed("edit");
  }

  // No pen goes on with what is not there any more.
  #letGo() {
    [this.#item, this.#pointer, this.#penDown] = [null, null, false];
  }

  #remember() {
    this.#past.push({ strokes: this.#strokes, file: this.#file });
  }

  // False where there is nothing to draw on or to erase.
  #begin(point) {
    const isNew = this.#file !== null || this.#item !== null;
    if (!this.isForDrawing || (this.isErasing && (isNew || this.isEmpty))) return false;
    const width = this.width * (this.isErasing ? ERASER : 1);
    this.#remember();
    this.#strokes = [...(isNew ? [] : this.#strokes), { width, erase: this.isErasing, points: [point] }];
    this.#file = this.#item = null;
    this.#changed("stroke");
    return true;
  }

  #extend(points) {
    this.#strokes.at(-1).points.push(...points);
    this.#changed("stroke");
  }

  #down(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true, focusVisible: false });
    this.#penDown = false;
    if (!this.#begin(this.#position(event))) return;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    this.#extend((events.length ? events : [event]).map((each) => this.#position(each)));
  }

  #up(event) {
    if (event.pointerId === this.#pointer) this.#pointer = null;
  }

  #key(event) {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in directions) {
      const [dx, dy] = directions[event.key];
      const { x, y } = this.#cursor;
      this.#cursor = { x: clamp(x + dx * STEP), y: clamp(y + dy * STEP) };
      if (this.#penDown) this.#extend([this.#cursor]);
      else this.#draw();
    } else if (event.key === " ") {
      this.#penDown = !this.#penDown && this.#begin(this.#cursor);
      this.#draw();
    } else return;
    event.preventDefault();
  }

  #liftPen() {
    this.#penDown = false;
    this.#draw();
  }

  #position(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: clamp((event.clientX - box.left) / box.width), y: clamp((event.clientY - box.top) / box.height) };
  }

  #changed(kind) {
    this.#draw();
    this.#onChange(kind);
  }

  #resize() {
    const side = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (side === 0 || side === this.#canvas.width) return;
    this.#canvas.width = this.#canvas.height = side;
    this.#draw();
  }

  #draw() {
    const context = this.#context;
    const side = this.#canvas.width;
    const picture = this.#item ?? this.#file?.picture;
    if (this.isForDrawing) paint(context, side, picture ? [] : this.#strokes);
    else context.clearRect(0, 0, side, side);
    if (picture) drawPicture(context, side, picture);
    if (this.#canvas.matches(":focus-visible") && this.#pointer === null) this.#cross(context, side);
  }

  #cross(context, side) {
    const [x, y, arm] = [this.#cursor.x * side, this.#cursor.y * side, 0.035 * side];
    context.strokeStyle = this.#penDown ? "#f3a661" : "#82b6f2";
    context.lineWidth = Math.max(2, side / 160);
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
  }
}

function drawPicture(context, side, picture) {
  const { width, height } = picture;
  const scale = side / Math.max(width, height);
  context.imageSmoothingEnabled = scale < 1;
  const [w, h] = [width * scale, height * scale];
  context.fillStyle = "#808080"; // what is transparent is neither ink nor paper
  if (scale < 1) context.fillRect((side - w) / 2, (side - h) / 2, w, h);
  context.drawImage(picture, (side - w) / 2, (side - h) / 2, w, h);
}

function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
