// Long names of classes: cut in the middle where there is no room, whole when looked at, and never alike.

import { make, setText } from "./dom.js";

const CUT = "…";
const ruler = new OffscreenCanvas(1, 1).getContext("2d");

// The width of a bold text in the family of an element, at so many pixels.
export function textWidth(text, place, size = 100) {
  ruler.font = `700 ${size}px ${getComputedStyle(place).fontFamily}`;
  return ruler.measureText(text).width;
}

// Whether a text fits into so many pixels, in the font of an element.
export function fitsInto(pixels, place) {
  const { fontSize, fontFamily } = getComputedStyle(place);
  const font = `700 ${fontSize} ${fontFamily}`;
  return (text) => {
    ruler.font = font;
    return ruler.measureText(text).width <= pixels;
  };
}

// What to show for each of several different names: a Map, whose texts differ as the names do.
export function shorten(names, fits) {
  const shown = new Map(names.map((name) => [name, fits(name) ? name : cutMiddle([...name], fits)]));
  for (const alike of groups(shown)) {
    const start = commonStart(alike);
    for (const name of alike) shown.set(name, cutAround([...name], start, fits));
  }
  for (const alike of groups(shown)) { // two differences and no room for both
    for (const name of alike) shown.set(name, `${[...name].slice(0, 2).join("")}${CUT}#${names.indexOf(name) + 1}`);
  }
  return shown;
}

// A name in an element: short, and whole beside it for hover, focus and screen readers.
export function showName(place, short, whole) {
  const [cut, full] = place.children;
  const isCut = short !== whole;
  setText(cut, short);
  setText(full, isCut ? whole : "");
  cut.ariaHidden = isCut ? "true" : null;
  place.classList.toggle("cut", isCut);
}

export function nameElement() {
  const place = make("span", "name");
  place.append(make("span", "short"), make("span", "whole"));
  return place;
}

function groups(shown) {
  const byText = new Map();
  for (const [name, text] of shown) byText.set(text, [...(byText.get(text) ?? []), name]);
  return [...byText.values()].filter((names) => names.length > 1);
}

function cutMiddle(letters, fits) {
  return longest(letters.length, fits, (kept) => {
    const head = Math.ceil(kept / 2);
    return letters.slice(0, head).join("") + CUT + letters.slice(letters.length - (kept - head)).join("");
  });
}

// The letters from where a name begins to differ from others.
function cutAround(letters, start, fits) {
  return longest(letters.length - start, fits, (kept) => {
    const end = start + kept;
    return CUT + letters.slice(start, end).join("") + (end < letters.length ? CUT : "");
  });
}

function longest(most, fits, build) {
  for (let kept = most; kept > 2; kept -= 1) if (fits(build(kept))) return build(kept);
  return build(Math.min(2, most));
}

function commonStart(names) {
  const [first, ...others] = names.map((name) => [...name]);
  let length = 0;
  while (length < first.length && others.every((other) => other[length] === first[length])) length += 1;
  return length;
}
