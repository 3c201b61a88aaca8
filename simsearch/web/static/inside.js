// Inside the network: what its convolutions make of a picture, and the numbers that come out.

import { element } from "./dom.js";
import { count } from "./words.js";

const WIDE = 560; // pixels from which the layers stand one behind the other
const SLANT = 0.22; // how far a sheet falls for each pixel to the right
const CAPTION = 52; // pixels below a sheet
const LEAST = 160; // height
const DEPTH = 0.78; // its width beside its height
const GROUND = [58, 66, 80, 255];
const STEPS = [[0, 8, 10, 16], [70, 37, 60, 120], [160, 90, 150, 210], [235, 190, 225, 245], [255, 255, 255, 255]];

export class Inside {
  #canvas = element("inside");
  #shown = null;

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  // found: an answer with its vector and the layers behind it, or null.
  async show(found) {
    if (!found?.layers) {
      this.#shown = null;
      return this.#draw();
    }
    const input = new Image();
    input.src = found.answer.pictures.query;
    await input.decode();
    const sheets = [
      { name: "what it sees", sheet: input, size: `${input.naturalWidth} × ${input.naturalHeight}` },
      ...found.layers.map((layer, i) => ({ name: `convolution ${i + 1}`, sheet: mosaic(layer), size: sizeOf(layer) })),
      { name: "vector", sheet: strip(found.vector), size: `${found.vector.length} numbers` },
    ];
    this.#shown = sheets;
    const active = found.vector.filter((value) => value > 0.01).length;
    const layers = found.layers.map((layer, i) => `convolution ${i + 1}: ${sizeOf(layer)}`);
    const said = [...layers, `vector: ${active} of ${found.vector.length} numbers above 0.01`].join("; ");
    this.#canvas.setAttribute("aria-label", `Inside the network. ${said}`);
    this.#draw();
  }

  #draw() {
    const { clientWidth: width } = this.#canvas;
    if (width === 0) return;
    const sheets = this.#shown ?? [];
    const isWide = width >= WIDE;
    const stacked = sheets.reduce((sum, { sheet }) => sum + sizeIn(sheet, stackSide(width))[1] + CAPTION, 0);
    const height = Math.max(LEAST, Math.round(isWide ? width * 0.42 : stacked));
    this.#canvas.style.height = `${height}px`;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    const context = this.#canvas.getContext("2d");
    const style = getComputedStyle(this.#canvas);
    const looks = { ink: style.color, muted: style.getPropertyValue("--muted"), rule: style.getPropertyValue("--rule"), family: style.fontFamily };
    const draw = isWide ? drawSlanted : drawStacked;
    context.imageSmoothingEnabled = false;
    draw(context, sheets, width, height, looks);
  }
}

// One behind the other from left to right, turned away as the figure of the network has them.
function drawSlanted(context, sheets, width, height, looks) {
  const slot = width / Math.max(1, sheets.length);
  const side = Math.min(slot / DEPTH * 0.86, (height - 64) / (1 + SLANT * DEPTH));
  const top = 26;
  sheets.forEach(({ sheet, name, size }, i) => {
    const left = i * slot + (slot - side * DEPTH) / 2;
    const [w, h] = sizeIn(sheet, side);
    const fall = SLANT * side * DEPTH;
    base(context);
    if (i > 0) beam(context, left - (slot - side * DEPTH), left, top + fall + (side - h) / 2, h, looks);
    context.transform(DEPTH, SLANT * DEPTH, 0, 1, left, top + (side - h) / 2);
    framed(context, sheet, (side - w) / 2, 0, w, h, looks);
    base(context);
    caption(context, name, size, i * slot + slot / 2, top + side + fall + 18, looks);
  });
}

// One below the other, where there is no room beside.
function drawStacked(context, sheets, width, _, looks) {
  let top = 4;
  for (const { sheet, name, size } of sheets) {
    const [w, h] = sizeIn(sheet, stackSide(width));
    base(context);
    framed(context, sheet, (width - w) / 2, top, w, h, looks);
    caption(context, name, size, width / 2, top + h + 18, looks);
    top += h + CAPTION;
  }
}

function stackSide(width) {
  return Math.min(width - 8, 260);
}

// Width and height of a sheet whose longer side has so many pixels.
function sizeIn(sheet, side) {
  const ratio = sheet.width / sheet.height;
  return ratio > 1 ? [side, side / ratio] : [side * ratio, side];
}

function base(context) {
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
}

function framed(context, sheet, x, y, w, h, looks) {
  context.drawImage(sheet, x, y, w, h);
  context.strokeStyle = looks.rule;
  context.lineWidth = 1;
  context.strokeRect(x, y, w, h);
}

// From the middle of a sheet to the next.
function beam(context, from, to, y, height, looks) {
  context.strokeStyle = looks.muted;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(from + 4, y + height / 2);
  context.lineTo(to - 6, y + height / 2);
  context.lineTo(to - 12, y + height / 2 - 5);
  context.moveTo(to - 6, y + height / 2);
  context.lineTo(to - 12, y + height / 2 + 5);
  context.stroke();
}

function caption(context, name, size, x, y, looks) {
  context.textAlign = "center";
  context.fillStyle = looks.ink;
  context.font = `600 14px ${looks.family}`;
  context.fillText(name, x, y);
  context.fillStyle = looks.muted;
  context.font = `13px ${looks.family}`;
  context.fillText(size, x, y + 18);
}

function sizeOf({ maps, of, height, width }) {
  return `${maps < of ? `${maps} of ` : ""}${count(of)} maps of ${height} × ${width}`;
}

// The maps of a layer side by side.
function mosaic({ maps, height, width, values }) {
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  const rows = Array.from({ length: Math.floor(Math.sqrt(maps)) }, (_, i) => i + 1).filter((each) => maps % each === 0).at(-1);
  const columns = maps / rows;
  return sheetOf(columns * (width + 1) - 1, rows * (height + 1) - 1, (set) => {
    bytes.forEach((value, at) => {
      const [map, inside] = [Math.floor(at / (width * height)), at % (width * height)];
      const x = (map % columns) * (width + 1) + (inside % width);
      set(x, Math.floor(map / columns) * (height + 1) + Math.floor(inside / width), value);
    });
  });
}

// The numbers of a vector, in rows of 8, as light as they are large.
function strip(vector) {
  const largest = Math.max(...vector.map(Math.abs)) || 1;
  const columns = vector.length > 256 ? Math.ceil(Math.sqrt(vector.length)) : 8;
  return sheetOf(columns * 3 - 1, Math.ceil(vector.length / columns) * 3 - 1, (set) => {
    vector.forEach((value, i) => {
      const level = (Math.abs(value) / largest) * 255;
      for (const [dx, dy] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
        set((i % columns) * 3 + dx, Math.floor(i / columns) * 3 + dy, level);
      }
    });
  });
}

function sheetOf(width, height, fill) {
  const margin = 1;
  const canvas = new OffscreenCanvas(width + 2 * margin, height + 2 * margin);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set(GROUND, at);
  fill((x, y, level) => pixels.data.set(color(level), 4 * (y * width + x)));
  context.fillStyle = `rgb(${GROUND.slice(0, 3)})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.putImageData(pixels, margin, margin);
  return canvas;
}

// A weak activation is seen, too: the square root lifts it.
function color(activation) {
  const level = Math.sqrt(activation * 255);
  const next = STEPS.findIndex(([at]) => at >= level);
  if (next <= 0) return [...STEPS[0].slice(1), 255];
  const [[low, ...from], [high, ...to]] = [STEPS[next - 1], STEPS[next]];
  const part = (level - low) / (high - low);
  return [...from.map((value, i) => value + part * (to[i] - value)), 255];
}
