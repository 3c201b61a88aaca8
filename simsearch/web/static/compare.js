// Comparing: pictures on a tray, and what the network says of each pair. This is what Siamese means.

import { button, element, make, setText } from "./dom.js";
import { percent } from "./words.js";

const MOST = 8; // pictures on the tray
const OFFERED = 9; // hits beside what is asked about

export class Compare {
  #vectorOf;
  #pinned = []; // { key, name, picture, vector }
  #offered = []; // the same, of the answer; without a vector for hits
  #pairs = null; // what turns a cosine into a probability

  // vectorOf(id) gives the promise of an item's vector, as the API answers it.
  constructor(vectorOf) {
    this.#vectorOf = vectorOf;
    element("tray-empty").addEventListener("click", () => this.#change([]));
    this.#draw();
  }

  // Another gallery, whose encoder may be another: nothing can be compared with it.
  clear() {
    this.#offered = [];
    this.#change([]);
  }

  // What can be put on the tray: what is asked about, and its hits. None for null.
  offer(found, name) {
    this.#offered = [];
    if (found?.vector) {
      const { answer, vector, pairs } = found;
      this.#pairs = pairs;
      const key = answer.kind === "item" ? `item ${answer.id}` : answer.pictures.query;
      this.#offered.push({ key, name: name || "the drawing", picture: answer.pictures.query, vector, isKnown: answer.verdict?.known ?? true });
      for (const { id, label } of answer.hits.slice(0, OFFERED)) {
        const named = `item ${id}${label == null ? "" : `, class ${label}`}`;
        this.#offered.push({ key: `item ${id}`, name: named, picture: answer.pictures.items[id], id });
      }
    }
    this.#drawOffer();
  }

  #change(pinned) {
    this.#pinned = pinned;
    this.#draw();
    this.#drawOffer();
  }

  #drawOffer() {
    const keys = new Set(this.#pinned.map(({ key }) => key));
    const isFull = this.#pinned.length >= MOST;
    element("offer").replaceChildren(...this.#offered.map((each) => {
      const added = button("", "", () => this.#pin(each));
      added.append(picture(each));
      added.setAttribute("aria-label", `Put ${each.name} on the tray`);
      added.title = each.name;
      added.disabled = isFull || keys.has(each.key);
      const item = make("li");
      item.append(added);
      return item;
    }));
    const hint = this.#offered.length ? "Choose pictures to compare; draw another and add it, too." : "Draw or choose something first.";
    setText(element("offer-hint"), isFull ? `The tray holds ${MOST} pictures.` : hint);
  }

  async #pin(offered) {
    setText(element("tray-failed"), "");
    try {
      const vector = offered.vector ?? (await this.#vectorOf(offered.id)).vector;
      if (this.#pinned.length >= MOST || this.#pinned.some(({ key }) => key === offered.key)) return;
      this.#change([...this.#pinned, { ...offered, vector }]);
      element("offer").querySelector("button:enabled")?.focus({ preventScroll: true });
    } catch (problem) {
      setText(element("tray-failed"), problem.message);
    }
  }

  #draw() {
    const isEmpty = this.#pinned.length === 0;
    element("tray-empty").hidden = isEmpty;
    element("matrix-part").hidden = isEmpty;
    const isCalibrated = this.#pairs?.calibrated ?? false;
    element("matrix-note").textContent = `Each pair went through one network: the cosine of its two vectors${
      isCalibrated ? ", and how probable it is that both show one class, if that was as likely as not beforehand; of a picture that is unlike all images nothing is" : ""}.`;
    const head = make("tr");
    head.append(make("td"), ...this.#pinned.map((each) => this.#header(each, "col")));
    const rows = this.#pinned.map((each) => {
      const row = make("tr");
      row.append(this.#header(each, "row"), ...this.#pinned.map((other) => this.#cell(each, other, isCalibrated)));
      return row;
    });
    element("matrix").replaceChildren(head, ...rows);
  }

  #header(each, scope) {
    const cell = make("th");
    cell.scope = scope;
    if (scope === "row") {
      cell.append(picture(each), make("span", "unseen", each.name));
      return cell;
    }
    const away = button("", "", () => this.#change(this.#pinned.filter((other) => other !== each)));
    away.append(picture(each), make("span", "away", "×"));
    away.setAttribute("aria-label", `Take ${each.name} off the tray`);
    away.title = each.name;
    cell.append(away);
    return cell;
  }

  #cell(one, other, isCalibrated) {
    const cell = make("td", one === other ? "same" : "");
    const cosine = one === other ? 1 : dot(one.vector, other.vector);
    cell.style.setProperty("--share", `${Math.round(40 * Math.max(0, cosine))}%`);
    cell.append(make("b", "", cosine.toFixed(3)));
    if (isCalibrated && one !== other && !(isKnown(one) && isKnown(other))) {
      cell.append(make("span", "", "unlike all"));
    } else if (isCalibrated && one !== other) {
      const logit = this.#pairs.weight * cosine + this.#pairs.bias;
      cell.append(make("span", "", percent(1 / (1 + Math.exp(-logit)))));
    }
    return cell;
  }
}

// Probabilities were fitted on pictures like those of the gallery; the gallery's own are.
function isKnown(each) {
  return each.isKnown ?? true;
}

export function dot(one, other) {
  return one.reduce((sum, value, i) => sum + value * other[i], 0);
}

function picture({ picture: address }) {
  const image = make("img");
  image.src = address;
  image.alt = "";
  image.width = image.height = 28;
  return image;
}
