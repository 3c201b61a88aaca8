// What the map is painted with: colors read off the page, rings, lines and outlined texts.

export function readLooks(canvas, classes) {
  const style = getComputedStyle(canvas);
  const read = (name) => style.getPropertyValue(name).trim();
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const colors = Array.from({ length: classes }, (_, i) => {
    const lightness = (isDark ? 0.74 : 0.6) + (i % 2 ? 0.06 : -0.06);
    return `oklch(${lightness} 0.16 ${(i * 360) / classes + 20})`;
  });
  const text = Number.parseFloat(style.fontSize);
  return {
    page: read("--page"), ink: read("--ink"), muted: read("--muted"), mark: read("--orange"),
    colors, text, family: style.fontFamily, dot: Math.max(2, Math.min(4.5, canvas.clientWidth / 260)),
  };
}

export function ring(context, { x, y }, radius, edge, fill) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.strokeStyle = edge;
  context.lineWidth = 2;
  context.stroke();
}

export function line(context, [from, to], color, width, alpha) {
  context.globalAlpha = alpha;
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
  context.stroke();
  context.globalAlpha = 1;
}

// A point moved so many pixels away from another.
export function outwards({ x, y }, from, distance) {
  const length = Math.hypot(x - from.x, y - from.y) || 1;
  return { x: x + ((x - from.x) / length) * distance, y: y + ((y - from.y) / length) * distance };
}

// Where a name, so many pixels half as wide, stands beside its points: away from the middle, a wide one further to
// the side; below them where the picture, so many pixels wide, has no room.
export function beside(center, middle, half, text, width) {
  const aside = Math.abs(center.x - middle.x) / (Math.hypot(center.x - middle.x, center.y - middle.y) || 1);
  const { x, y } = outwards(center, middle, text * 1.7 + Math.max(0, aside * half - text * 0.7));
  const edge = half + text * 0.3;
  const inside = (across) => Math.max(edge, Math.min(width - edge, across));
  return inside(x) === x ? { x, y } : { x: inside(center.x), y: center.y + text * 1.7 };
}

export function outlined(context, text, { x, y }, ink, page) {
  context.lineJoin = "round";
  context.lineWidth = 5;
  context.strokeStyle = page;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

export function ease(part) {
  return 1 - (1 - part) ** 3;
}
