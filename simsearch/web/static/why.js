// Why: what is asked about laid over a hit, and what each part of a drawing does to their score.

import { outlined } from "./brush.js";
import { dot } from "./compare.js";
import { button, element, make, setText } from "./dom.js";
import { paint, takeApart, thinned, toBlob } from "./strokes.js";

const OFFERED = 6; // hits to choose from
const SIDE = 280; // pixels of the pictures
const LEAST = 0.0005; // change of a score that is one

export class Why {
  #vectorOf; // (id) and (picture, signal): promises of vectors, as the API answers them
  #vectorOfPicture;
  #found = null;
  #chosen = null; // the hit that is laid over
  #drawn = null; // { strokes, parts: [{ part, without }] }, the vector of the drawing without each part
  #asking = null;
  isDrawn = true; // whether pictures are ink on paper, which can be told apart where they are laid over

  constructor(vectorOf, vectorOfPicture) {
    [this.#vectorOf, this.#vectorOfPicture] = [vectorOf, vectorOfPicture];
    element("why-mix").addEventListener("input", () => this.#lay());
  }

  // An answer with its vector and, of a drawing, its strokes; null for none.
  async show(found) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const isUsable = Boolean(found?.vector && found.answer.hits.length);
    this.#found = isUsable ? found : null;
    this.#drawn = null;
    element("why-parts").classList.add("waiting"); // what it shows is of another drawing
    element("why-part").hidden = !isUsable;
    setText(element("why-hint"), isUsable ? "" : "Draw or choose something first.");
    setText(element("why-failed"), "");
    if (!isUsable) return;
    const hits = found.answer.hits.slice(0, OFFERED);
    this.#chosen = hits.find(({ id }) => id === this.#chosen?.id) ?? hits[0];
    this.#offer(hits);
    try {
      await Promise.all([this.#lay(), found.strokes && this.#takeApart(found.strokes, asking.signal)]);
      if (!asking.signal.aborted) await this.#weigh();
    } catch (problem) {
      if (!asking.signal.aborted) setText(element("why-failed"), problem.message);
    }
  }

  #offer(hits) {
    element("why-hits").replaceChildren(...hits.map((hit) => {
      const chosen = button("", "", () => this.#choose(hit, hits));
      const image = make("img");
      image.src = this.#found.answer.pictures.items[hit.id];
      image.alt = "";
      image.width = image.height = 28;
      chosen.append(image);
      chosen.setAttribute("aria-pressed", hit.id === this.#chosen.id);
      chosen.setAttribute("aria-label", `Lay it over ${nameOf(hit)}`);
      chosen.title = nameOf(hit);
      const item = make("li");
      item.append(chosen);
      return item;
    }));
  }

  async #choose(hit, hits) {
    this.#chosen = hit;
    hits.forEach(({ id }, i) => element("why-hits").children[i].firstChild.setAttribute("aria-pressed", id === hit.id));
    setText(element("why-failed"), "");
    try {
      await Promise.all([this.#lay(), this.#weigh()]);
    } catch (problem) {
      setText(element("why-failed"), problem.message);
    }
  }

  // Lay one picture over the other: of ink on paper, what either has alone has its own color.
  async #lay() {
    const { answer } = this.#found;
    const hit = this.#chosen;
    const [own, other] = await Promise.all([load(answer.pictures.query), load(answer.pictures.items[hit.id])]);
    if (hit !== this.#chosen || answer !== this.#found?.answer) return;
    const canvas = element("why-laid");
    canvas.width = canvas.height = SIDE;
    const context = canvas.getContext("2d");
    if (this.isDrawn) {
      const colors = getComputedStyle(canvas);
      for (const [picture, name] of [[own, "--own"], [other, "--other"]]) {
        context.globalCompositeOperation = "lighter";
        context.drawImage(tinted(picture, colors.getPropertyValue(name).trim()), 0, 0);
      }
    } else {
      fit(context, own);
      context.globalAlpha = element("why-mix").value / 100;
      fit(context, other);
    }
    element("why-mix").parentElement.hidden = this.isDrawn;
    element("why-legend").hidden = !this.isDrawn;
    setText(element("why-other"), `only in ${nameOf(hit)}`);
    setText(element("why-score"), `Score with ${nameOf(hit)}: ${hit.score.toFixed(3)}.`);
    canvas.setAttribute("aria-label", `What is asked about laid over ${nameOf(hit)}`);
  }

  // The vector of the drawing without each of its parts.
  async #takeApart(drawing, signal) {
    const strokes = thinned(drawing); // the pen stays as wide as it was sent
    const parts = takeApart(strokes);
    const without = await Promise.all(parts.map(({ rest }) => this.#vectorOfRest(rest, signal)));
    if (!signal.aborted) this.#drawn = { strokes, parts: parts.map(({ part }, i) => ({ part, without: without[i] })) };
  }

  // Null where nothing is left that could be searched for.
  async #vectorOfRest(strokes, signal) {
    if (strokes.every((stroke) => stroke.erase)) return null;
    try {
      return (await this.#vectorOfPicture(await toBlob(strokes), signal)).vector;
    } catch (problem) {
      if (problem.status === 422) return null;
      throw problem;
    }
  }

  // What each part does to the score with the chosen hit.
  async #weigh() {
    const drawn = this.#drawn;
    element("why-parts").hidden = !drawn;
    if (!drawn) return;
    const hit = this.#chosen;
    const { vector } = await this.#vectorOf(hit.id);
    if (drawn !== this.#drawn || hit !== this.#chosen) return;
    const parts = drawn.parts.map((each) => ({ ...each, change: each.without && dot(each.without, vector) - hit.score }));
    this.#paintParts(drawn.strokes, parts);
    element("why-parts").classList.remove("waiting");
    element("why-changes").replaceChildren(...parts.map(({ change }, i) => {
      const row = make("tr");
      const name = make("th", "", `without part ${i + 1}`);
      name.scope = "row";
      const score = change === null ? "nothing is left" : (hit.score + change).toFixed(3);
      row.append(name, make("td", "", score), make("td", "", change === null ? "" : signed(change)));
      return row;
    }));
  }

  // The drawing, each part the stronger the more the score rests on it; what lowers the score in the other color.
  #paintParts(strokes, parts) {
    const canvas = element("why-strokes");
    const context = canvas.getContext("2d");
    canvas.width = canvas.height = SIDE;
    const colors = getComputedStyle(canvas);
    const largest = Math.max(LEAST, ...parts.map(({ change }) => Math.abs(change ?? 0)));
    paint(context, SIDE, strokes, { ink: "#555" });
    for (const { part, change } of parts) {
      const name = (change ?? -1) < 0 ? "--own" : "--other";
      context.globalAlpha = change === null ? 1 : Math.abs(change) / largest;
      paint(context, SIDE, [part], { ink: colors.getPropertyValue(name).trim(), onPaper: false });
    }
    context.globalAlpha = 1;
    context.font = `700 ${SIDE / 14}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    parts.forEach(({ part: { points } }, i) => {
      const { x, y } = points[points.length >> 1];
      outlined(context, i + 1, { x: x * SIDE, y: y * SIDE }, "#fff", "#000");
    });
  }
}

function nameOf({ id, label }) {
  return `item ${id}${label == null ? "" : `, class ${label}`}`;
}

function signed(change) {
  return Math.abs(change) < LEAST ? "no change" : `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(3)}`;
}

async function load(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

// As large as it fits, in the middle.
function fit(context, image) {
  const scale = SIDE / Math.max(image.naturalWidth, image.naturalHeight);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.imageSmoothingEnabled = scale < 1;
  context.drawImage(image, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
}

// Ink of a picture in a color, on black.
function tinted(image, color) {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d");
  fit(context, image);
  context.globalCompositeOperation = "multiply";
  context.fillStyle = color;
  context.fillRect(0, 0, SIDE, SIDE);
  return canvas;
}
