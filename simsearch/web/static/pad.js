// The drawing area: strokes kept as vectors in the unit square, drawn at whatever size and density the screen has.

const INK = "#ffffff";
const PAPER = "#000000";
const SENT_SIDE = 280; // pixels of the picture that is sent: ten for each that the network sees
const STEP = 1 / 28; // how far an arrow key moves the pen

export class Pad {
  #canvas;
  #context;
  #onChange;
  #strokes = [];
  #past = []; // what undo brings back: null for a stroke to take away, strokes for a clearing to reverse
  #picture = null;
  #pointer = null;
  #cursor = { x: 0.5, y: 0.5 };
  #penDown = false;
  width = 0.09;

  // onChange(kind) is called after the strokes changed ("stroke" while drawing, "edit" otherwise).
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

  get isEmpty() {
    return this.#strokes.length === 0;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get hasPicture() {
    return this.#picture !== null;
  }

  // A picture in the place of the strokes, which come back with null: a file, or an item of the gallery.
  show(picture) {
    this.#picture = picture;
    this.#draw();
  }

  // Put the strokes away, so that only undo brings them back.
  putAway() {
    if (!this.isEmpty) this.#past.push(this.#strokes);
    this.#strokes = [];
    this.#picture = null;
    this.#penDown = false;
  }

  undo() {
    if (!this.canUndo) return;
    const cleared = this.#past.pop();
    if (cleared) this.#strokes = cleared;
    else this.#strokes.pop();
    this.#picture = null;
    this.#penDown = false;
    this.#changed("edit");
  }

  clear() {
    this.putAway();
    this.#changed("edit");
  }

  // The strokes alone as a PNG.
  toBlob() {
    const canvas = new OffscreenCanvas(SENT_SIDE, SENT_SIDE);
    const context = canvas.getContext("2d");
    context.fillStyle = PAPER;
    context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
    this.#trace(context, SENT_SIDE);
    return canvas.convertToBlob({ type: "image/png" });
  }

  #begin(point) {
    if (this.hasPicture) this.putAway(); // a new drawing
    this.#strokes.push({ width: this.width, points: [point] });
    this.#past.push(null);
    this.#changed("stroke");
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
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#begin(this.#position(event));
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
      const lowered = !this.#penDown;
      if (lowered) this.#begin(this.#cursor);
      this.#penDown = lowered;
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
    context.fillStyle = PAPER;
    context.fillRect(0, 0, side, side);
    if (this.hasPicture) this.#paint(context, side);
    else this.#trace(context, side);
    if (this.#canvas.matches(":focus-visible") && this.#pointer === null) this.#cross(context, side);
  }

  #paint(context, side) {
    const { width, height } = this.#picture;
    const scale = side / Math.max(width, height);
    context.imageSmoothingEnabled = scale < 1;
    const [w, h] = [width * scale, height * scale];
    context.drawImage(this.#picture, (side - w) / 2, (side - h) / 2, w, h);
  }

  // Curves through the middles between points: smooth, and never outside their hull.
  #trace(context, side) {
    context.strokeStyle = context.fillStyle = INK;
    context.lineCap = context.lineJoin = "round";
    for (const { width, points } of this.#strokes) {
      const [first] = points;
      context.lineWidth = width * side;
      context.beginPath();
      context.moveTo(first.x * side, first.y * side);
      points.forEach((point, i) => {
        const next = points[i + 1] ?? point;
        context.quadraticCurveTo(point.x * side, point.y * side, ((point.x + next.x) / 2) * side, ((point.y + next.y) / 2) * side);
      });
      context.lineTo(points.at(-1).x * side + 0.01, points.at(-1).y * side);
      context.stroke();
    }
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

function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
