// Showing an answer. Elements are made once and changed in place, so nothing flickers while answers arrive.

const MOST_CLASSES = 12; // as many keep fixed places; of more, the most similar are shown in order

const element = (id) => document.getElementById(id);

export class Results {
  #onChoose;
  #classes = [];

  // onChoose(id) is called when an item is chosen.
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  // The gallery that the following answers are about.
  use(index) {
    this.#classes = index.classes;
  }

  // Before anything was asked: items to begin with.
  begin(index) {
    element("seen").hidden = true;
    setLabel("", "");
    element("reason").textContent = "Draw something, or begin with one of these images.";
    element("agreement").textContent = "";
    setTexts(element("notes"), []);
    this.#showClasses({ classes: index.classes.map((label) => ({ label, mean: 0, best: 0 })) }, null);
    element("hits-title").textContent = "Images to begin with";
    element("hits-legend").replaceChildren();
    this.#showHits(index.examples.map(({ id, picture }) => ({ id, picture })), null);
  }

  // answer: an entry of the API's answer, with pictures. Returns it in a sentence.
  show(answer) {
    const verdict = judge(answer);
    const reference = answer.truth ?? verdict.label;
    setPicture(element("seen"), answer.pictures.query, "28 by 28 pixels");
    element("seen").hidden = false;
    setLabel(verdict.text, verdict.kind);
    element("reason").textContent = verdict.reason;
    const agreement = countSame(answer.hits, reference);
    element("agreement").textContent = agreement;
    setTexts(element("notes"), answer.notes);
    this.#showClasses(answer, verdict.label);
    element("hits-title").textContent = "Nearest images";
    this.#showLegend(reference);
    const hits = answer.hits.map((hit) => ({ ...hit, picture: answer.pictures.items[hit.id] }));
    this.#showHits(hits, reference);
    return `${verdict.spoken} ${agreement || `${answer.hits.length} nearest images are shown`}.`;
  }

  #showLegend(reference) {
    const legend = element("hits-legend");
    if (reference === null) return legend.replaceChildren();
    legend.replaceChildren(
      marked("same-mark", "✓", `class ${reference}`), marked("other-mark", "✗", "another class"),
    );
  }

  #showClasses(answer, top) {
    const list = element("classes");
    let rows = answer.classes;
    if (this.#classes.length <= MOST_CLASSES) {
      rows = this.#classes.map((label) => rows.find((row) => row.label === label) ?? { label, mean: 0 });
    } else rows = rows.slice(0, MOST_CLASSES);
    list.closest("section").hidden = rows.length === 0;
    resize(list, rows.length, newClass);
    rows.forEach((row, i) => {
      const item = list.children[i];
      const [name, track, value, chance] = item.children;
      item.className = row.label === top ? "top" : "";
      name.textContent = row.label;
      track.firstChild.style.transform = `translateX(${-100 * (1 - Math.max(0, row.mean))}%)`;
      value.textContent = row.rank ? row.mean.toFixed(3) : "";
      chance.textContent = row.posterior == null ? "" : percent(row.posterior);
    });
    const judged = rows.some((row) => row.posterior != null);
    list.classList.toggle("judged", judged);
    const chances = judged ? "; probability of the class" : "";
    element("classes-legend").textContent = `Mean score of a class's five nearest images${chances}`;
  }

  #showHits(hits, reference) {
    const list = element("hits");
    resize(list, hits.length, () => this.#newHit());
    hits.forEach((hit, i) => {
      const button = list.children[i].firstChild;
      const [image, caption] = button.children;
      const kind = hit.label == null || reference === null ? "" : hit.label === reference ? "same" : "other";
      const mark = { same: "✓ ", other: "✗ ", "": "" }[kind];
      button.className = kind;
      button.dataset.id = hit.id;
      setPicture(image, hit.picture, "");
      caption.hidden = hit.score === undefined;
      const [name, score] = caption.firstChild.children;
      name.textContent = mark + (hit.label ?? `id ${hit.id}`);
      score.textContent = hit.score?.toFixed(3) ?? "";
      caption.lastChild.textContent = hit.probability === undefined ? "" : percent(hit.probability);
      button.setAttribute("aria-label", spokenHit(hit, kind));
      button.title = hit.source ?? `item ${hit.id}`;
    });
  }

  #newHit() {
    const button = make("button");
    button.type = "button";
    const image = make("img");
    image.alt = ""; // the button says it all
    image.decoding = "sync";
    image.width = image.height = 28;
    const line = make("span", "line");
    line.append(make("span", "class"), make("span", "score"));
    const caption = make("span", "caption");
    caption.append(line, make("span", "chance"));
    button.append(image, caption);
    button.addEventListener("click", () => this.#onChoose(Number(button.dataset.id)));
    const item = make("li");
    item.append(button);
    return item;
  }
}

// What an answer says in one word, why, and whether it knows the class at all.
function judge(answer) {
  const [best] = answer.classes;
  if (!best) {
    const hit = answer.hits[0];
    const reason = `most similar image: score ${hit.score.toFixed(3)}, probability ${percent(hit.probability)}`;
    return { text: hit.score.toFixed(3), kind: "", reason, label: null, spoken: `${reason}.` };
  }
  const { verdict } = answer;
  if (verdict && !verdict.known) {
    const reason = `not like the images of this gallery; the nearest class would be ${best.label}`;
    return { text: "Unknown", kind: "unknown", reason, label: null, spoken: `Unknown: ${reason}.` };
  }
  const chance = verdict ? verdict.probability : best.probability;
  const reason = `probability ${percent(chance)}`;
  return { text: best.label, kind: "", reason, label: best.label, spoken: `Most like class ${best.label}, ${reason}.` };
}

function countSame(hits, reference) {
  if (reference === null) return "";
  const same = hits.filter((hit) => hit.label === reference).length;
  return `${same} of the ${hits.length} nearest images are of class ${reference}`;
}

function spokenHit(hit, kind) {
  if (hit.score === undefined) return `Search from item ${hit.id}`;
  const label = hit.label == null ? "" : `class ${hit.label}, `;
  const other = kind === "other" ? ", another class" : "";
  const figures = `score ${hit.score.toFixed(3)}, probability ${percent(hit.probability)}`;
  return `Search from item ${hit.id}: ${label}${figures}${other}`;
}

function setLabel(text, kind) {
  const label = element("label");
  label.textContent = text;
  label.className = [kind, text.length > 3 ? "text" : ""].join(" ").trim();
}

function setPicture(image, address, alt) {
  if (image.src !== address) image.src = address;
  image.alt = alt;
}

function setTexts(list, texts) {
  list.replaceChildren(...texts.map((text) => make("li", "", text)));
}

function marked(className, mark, text) {
  const item = make("span");
  item.append(make("span", className, mark), ` ${text}`);
  return item;
}

function newClass() {
  const item = make("li");
  const track = make("span", "track");
  track.append(make("div", "bar"));
  item.append(make("span", "name"), track, make("span", "value"), make("span", "chance"));
  return item;
}

function resize(list, count, create) {
  while (list.children.length > count) list.lastChild.remove();
  while (list.children.length < count) list.append(create());
}

function make(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// As the command line prints it.
function percent(probability) {
  return `${(Math.floor(1000 * probability) / 10).toFixed(1)} %`; // never rounded up to certainty
}
