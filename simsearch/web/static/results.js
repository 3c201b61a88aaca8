// Showing an answer, or that there is none: what is shown always belongs to what was asked last.

import { Classes } from "./classes.js";
import { element, make, setPicture, setText } from "./dom.js";
import { Hits } from "./hits.js";
import { textWidth } from "./names.js";
import { countSame, judge, subjectOf } from "./words.js";

const BIG = 4; // letters that a name may have to be written nearly as large as a digit
const SMALLEST = 17; // pixels

export class Results {
  #classes = new Classes();
  #hits;

  // onChoose(id) is called when an item is chosen.
  constructor(onChoose) {
    this.#hits = new Hits(onChoose);
  }

  // The gallery that the following answers are about.
  use(index) {
    this.#classes.use(index.classes);
    this.#hits.use(index.classes);
  }

  // Nothing is answered: items to begin with, and why.
  begin(index, reason = "") {
    const invitation = subjectOf(index).isDrawn ? "Draw something" : "Choose or drop a picture";
    this.#clear(reason || `${invitation}, or begin with one of these images.`);
    setText(element("hits-title"), "Images to begin with");
    element("hits").classList.remove("waiting");
    this.#hits.show(index.examples.map(({ id, picture }) => ({ id, picture })), null);
  }

  // Something else is asked: the answer before it goes. Its pictures are out of sight and keep their places,
  // so that nothing jumps and a key that chose one of them is not lost.
  wait() {
    this.#clear("Searching…");
    setText(element("hits-title"), "Nearest images");
    element("hits").classList.add("waiting");
  }

  // answer: an entry of the API's answer, with pictures. Returns it in a sentence.
  show(answer) {
    const verdict = judge(answer);
    const reference = answer.truth ?? verdict.label;
    setPicture(element("seen"), answer.pictures.query, "the prepared picture");
    element("seen").hidden = false;
    setLabel(verdict.text, verdict.kind);
    setText(element("reason"), verdict.reason);
    const agreement = countSame(answer.hits, reference);
    setText(element("agreement"), agreement);
    setTexts(element("notes"), answer.notes);
    this.#classes.show(verdict.kind === "unknown" ? withoutChances(answer.classes) : answer.classes, verdict.label);
    setText(element("hits-title"), "Nearest images");
    showLegend(reference);
    element("hits").classList.remove("waiting");
    this.#hits.show(answer.hits.map((hit) => ({ ...hit, picture: answer.pictures.items[hit.id] })), reference);
    return `${verdict.spoken} ${agreement || `${answer.hits.length} nearest images are shown`}.`;
  }

  #clear(reason) {
    element("seen").hidden = true;
    element("seen").removeAttribute("src");
    setLabel("", "");
    setText(element("reason"), reason);
    setText(element("agreement"), "");
    setTexts(element("notes"), []);
    this.#classes.show([], null);
    element("hits-legend").replaceChildren();
  }
}

// That a picture shows a class "if it shows one" is no help where it shows none.
function withoutChances(ranking) {
  return ranking.map((row) => ({ ...row, posterior: null }));
}

function showLegend(reference) {
  const legend = element("hits-legend");
  const parts = reference === null ? [] : [["same-mark", "✓", `class ${reference}`], ["other-mark", "✗", "another class"]];
  legend.replaceChildren(...parts.map(([className, mark, text]) => {
    const part = make("span");
    part.append(make("span", className, mark), ` ${text}`);
    return part;
  }));
}

// As large as its longest part allows, so that no word breaks.
function setLabel(text, kind) {
  const label = element("label");
  setText(label, text);
  label.className = kind;
  const side = element("seen").parentElement.offsetWidth;
  const widest = side * (text.length > BIG ? 0.36 : text.length > 1 ? 0.6 : 1.1);
  const room = label.parentElement.clientWidth / Math.max(1, widthAt1px(text, label));
  label.style.fontSize = `${Math.max(SMALLEST, Math.min(widest, room))}px`;
}

function widthAt1px(text, place) {
  return Math.max(...text.split(/(?<=-)|\s/).map((part) => textWidth(part, place) / 100));
}

function setTexts(list, texts) {
  list.replaceChildren(...texts.map((text) => make("li", "", text)));
}
