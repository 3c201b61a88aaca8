// Strokes as letters of an address: a byte for the width, one for the number of points, two a point.

const LEVELS = 255;
const WIDEST = 0.25;
const ERASES = 128; // added to the width
const NEAR = 1 / 400; // points nearer than this to the line between others say nothing
const MOST_POINTS = 255;
const MOST_STROKES = 100;

export function encodeStrokes(strokes) {
  const bytes = [];
  for (const { width, erase, points } of strokes.slice(0, MOST_STROKES)) {
    const kept = simplify(points);
    bytes.push(Math.round((width / WIDEST) * (ERASES - 1)) + (erase ? ERASES : 0), kept.length);
    for (const { x, y } of kept) bytes.push(Math.round(x * LEVELS), Math.round(y * LEVELS));
  }
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

// The strokes of an address, or null where it holds none.
export function decodeStrokes(text) {
  if (!/^[\w-]+$/.test(text)) return null;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
  const strokes = [];
  for (let at = 0; at < bytes.length; at += 2 + 2 * bytes[at + 1]) {
    const count = bytes[at + 1];
    if (!count || at + 2 + 2 * count > bytes.length || strokes.length === MOST_STROKES) return null;
    const points = Array.from({ length: count }, (_, i) => ({
      x: bytes[at + 2 + 2 * i] / LEVELS,
      y: bytes[at + 3 + 2 * i] / LEVELS,
    }));
    const width = Math.max(0.02, ((bytes[at] % ERASES) / (ERASES - 1)) * WIDEST);
    strokes.push({ width, erase: bytes[at] >= ERASES, points });
  }
  return strokes;
}

// Fewer points for the same line (Ramer 1972; Douglas and Peucker 1973), coarser where there are too many.
function simplify(points) {
  let near = NEAR;
  let kept = reduce(points, near);
  while (kept.length > MOST_POINTS) kept = reduce(kept, (near *= 2));
  return kept;
}

function reduce(points, near) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points.at(-1)];
  let [farthest, distance] = [0, near];
  points.forEach((point, i) => {
    const own = distanceTo(point, first, last);
    if (own > distance) [farthest, distance] = [i, own];
  });
  if (!farthest) return [first, last];
  return [...reduce(points.slice(0, farthest + 1), near), ...reduce(points.slice(farthest), near).slice(1)];
}

function distanceTo({ x, y }, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const part = Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - from.x - part * dx, y - from.y - part * dy);
}
