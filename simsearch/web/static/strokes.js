// Strokes: a width and points in the unit square; a stroke that erases paints paper.

const INK = "#ffffff";
const PAPER = "#000000";
const SENT_SIDE = 280; // pixels of the picture that is sent: ten for each that the network sees
const WIDEST = 0.16; // of the larger side of a drawing: a wider pen closes the loops of a small one

// Paint strokes on paper, into a square of so many pixels.
export function paint(context, side, strokes) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, side, side);
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) trace(context, side, stroke);
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

// Curves through the middles between points: smooth, and never outside their hull.
function trace(context, side, { width, erase, points }) {
  const [first] = points;
  context.strokeStyle = erase ? PAPER : INK;
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
