// The places of a gallery's items in two dimensions, as the server sends them, and of any vector.

const SHARPNESS = 200; // a hit that scores .01 less counts a seventh

export class Places {
  // document: what /api/map answers.
  constructor(document) {
    this.ids = document.ids;
    this.labels = document.labels;
    this.items = document.items;
    this.rows = new Map(document.ids.map((id, row) => [id, row]));
    this.groups = group(document.labels ?? document.ids.map(() => null));
    this.layouts = new Map(document.layouts.map((layout) => [layout.name, { ...layout, at: decode(layout) }]));
  }

  // The middle of each class in a layout: [{ label, x, y }], by medians, which strays do not move.
  centers(at) {
    return this.groups.filter(({ label }) => label !== null).map(({ label, rows }) => ({
      label,
      x: median(rows.map((row) => at[2 * row])),
      y: median(rows.map((row) => at[2 * row + 1])),
    }));
  }
}

// The rows of each label.
function group(labels) {
  const rows = new Map();
  labels.forEach((label, row) => (rows.has(label) ? rows.get(label).push(row) : rows.set(label, [row])));
  return [...rows].map(([label, own]) => ({ label, rows: own }));
}

// Where a layout puts a vector: exactly where it is linear, and else among its hits, the more alike the nearer.
// Undefined where none of them is on the map.
export function place({ axes, offset, at }, vector, hits, rows) {
  if (!axes) return among(at, hits.filter(({ id }) => rows.has(id)), rows);
  const point = { x: offset[0], y: offset[1] };
  vector.forEach((value, i) => {
    point.x += value * axes[i][0];
    point.y += value * axes[i][1];
  });
  return point;
}

function among(at, hits, rows) {
  if (hits.length === 0) return undefined;
  const weights = hits.map(({ score }) => Math.exp((score - hits[0].score) * SHARPNESS));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (axis) => hits.reduce((sum, { id }, i) => sum + weights[i] * at[2 * rows.get(id) + axis], 0) / all;
  return { x: mean(0), y: mean(1) };
}

// x and y of each item in turn.
function decode({ places, low, high }) {
  const bytes = Uint8Array.from(atob(places), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const at = new Float32Array(bytes.length / 2);
  for (let i = 0; i < at.length; i += 1) {
    at[i] = low[i % 2] + (view.getUint16(2 * i, true) / 65535) * (high[i % 2] - low[i % 2]);
  }
  return at;
}

function median(values) {
  values.sort((a, b) => a - b);
  return values[values.length >> 1];
}
