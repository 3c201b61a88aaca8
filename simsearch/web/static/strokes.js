// Strokes: a width and points in the unit square; a stroke that erases paints paper.

const INK = "#ffffff";
const PAPER = "#000000";
const SENT_SIDE = 280; // pixels of the picture that is sent: ten for each that the network sees
const WIDEST = 0.16; // of the larger side of a drawing: a wider pen closes the loops of a small one
const PARTS = 6; // about as many as a drawing is taken apart into
const SHORTEST = 0.12; // of the side of the pad: what is shorter is not taken apart

// Paint strokes into a square of so many pixels, on paper or on what is there.
export function paint(context, side, strokes, { ink = INK, onPaper = true } = {}) {
  if (onPaper) {
    context.fillStyle = PAPER;
    context.fillRect(0, 0, side, side);
  }
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) trace(context, side, stroke, ink);
}

// The picture that is sent for a drawing.
export function toBlob(strokes) {
  const canvas = new OffscreenCanvas(SENT_SIDE, SENT_SIDE);
  paint(canvas.getContext("2d"), SENT_SIDE, thinned(strokes));
  return canvas.convertToBlob({ type: "image/png" });
}

// The same strokes, none wider than suits the size of the drawing.
export function thinned(strokes) {
  const points = strokes.filter((stroke) => !stroke.erase).flatMap((stroke) => stroke.points);
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const side = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  if (!(side > 0)) return strokes; // a dot is as large as its pen
  return strokes.map((stroke) => (stroke.erase ? stroke : { ...stroke, width: Math.min(stroke.width, WIDEST * side) }));
}

// A drawing in parts of about equal length, each with the drawing that is left without it: [{ part, rest }].
export function takeApart(strokes) {
  const inked = strokes.filter((stroke) => !stroke.erase);
  const unit = Math.max(SHORTEST, inked.reduce((sum, stroke) => sum + lengthOf(stroke.points), 0) / PARTS);
  return inked.flatMap((stroke) => {
    const cut = cutInto(stroke.points, Math.max(1, Math.round(lengthOf(stroke.points) / unit)));
    return cut.map((points, i) => {
      const left = [cut.slice(0, i), cut.slice(i + 1)].filter((side) => side.length);
      const rest = left.map((side) => ({ ...stroke, points: side.flat() }));
      return { part: { ...stroke, points }, rest: strokes.flatMap((each) => (each === stroke ? rest : [each])) };
    });
  });
}

function lengthOf(points) {
  return points.slice(1).reduce((sum, point, i) => sum + distance(points[i], point), 0);
}

function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

// A line in so many parts of equal length; where one ends the next begins.
function cutInto(points, count) {
  const length = lengthOf(points) / count;
  const parts = [[points[0]]];
  let gone = 0; // of the part that is being made
  points.slice(1).forEach((end, i) => {
    let from = points[i];
    while (parts.length < count && gone + distance(from, end) >= length) {
      const share = (length - gone) / distance(from, end);
      from = { x: from.x + share * (end.x - from.x), y: from.y + share * (end.y - from.y) };
      parts.at(-1).push(from);
      parts.push([from]);
      gone = 0;
    }
    parts.at(-1).push(end);
    gone += distance(from, end);
  });
  return parts;
}

// Curves through the middles between points: smooth, and never outside their hull.
function trace(context, side, { width, erase, points }, ink) {
  const [first] = points;
  context.strokeStyle = erase ? PAPER : ink;
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
