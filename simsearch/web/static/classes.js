// The ranking of the classes as a table with bars.

import { element, make, resize, setText } from "./dom.js";
import { fitsInto, nameElement, shorten, showName } from "./names.js";
import { percent } from "./words.js";

const MOST = 12; // as many keep fixed places; of more, the most similar are shown in order
const NAME_EMS = 8;

export class Classes {
  #names = [];
  #short = new Map();

  // The classes of the gallery that the following answers are about.
  use(names) {
    this.#names = names;
    const body = element("classes");
    const pixels = NAME_EMS * Number.parseFloat(getComputedStyle(body).fontSize);
    this.#short = shorten(names, fitsInto(pixels, body));
  }

  // The rows of an answer, or none: the classes alone.
  show(ranking, top) {
    const rows = this.#names.length <= MOST ? this.#inPlace(ranking) : ranking.slice(0, MOST);
    element("classes-part").hidden = this.#names.length === 0;
    const body = element("classes");
    resize(body, rows.length, newRow);
    rows.forEach((row, i) => this.#showRow(body.children[i], row, row.label === top));
    element("classes-table").classList.toggle("judged", rows.some((row) => row.posterior != null));
  }

  #inPlace(ranking) {
    return this.#names.map((label) => ranking.find((row) => row.label === label) ?? { label, mean: null });
  }

  #showRow(row, { label, mean, posterior }, isTop) {
    const [name, track, score, chance] = row.children;
    row.className = isTop ? "top" : "";
    showName(name.firstChild, this.#short.get(label) ?? label, label);
    if (name.firstChild.classList.contains("cut")) name.firstChild.tabIndex = 0;
    else name.firstChild.removeAttribute("tabindex");
    track.firstChild.firstChild.style.transform = `translateX(${-100 * (1 - Math.max(0, mean ?? 0))}%)`;
    setText(score, mean === null ? "" : mean.toFixed(3));
    setText(chance, posterior == null ? "" : percent(posterior));
  }
}

function newRow() {
  const row = make("tr");
  const name = make("th");
  name.scope = "row";
  name.append(nameElement());
  const track = make("div", "track");
  track.append(make("div", "bar"));
  const bar = make("td", "scale");
  bar.append(track);
  row.append(name, bar, make("td", "value"), make("td", "chance"));
  return row;
}
