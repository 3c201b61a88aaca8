"use strict";
// An index that searches itself: cosines of quantized vectors, in the browser alone.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const { ids, dim, labels, classes, sources, root, side, across, rows, sheets } = data;
const vectors = Int8Array.from(atob(data.vectors), (letter) => letter.charCodeAt(0));
const lengths = Float64Array.from(ids, (_, row) => Math.sqrt(product(row, row)));
const PAGE = 60;
let shown = []; // rows, in their order
let scores = null; // of all rows, to the chosen one

function product(first, second) {
  let sum = 0;
  for (let i = 0, a = first * dim, b = second * dim; i < dim; i += 1) sum += vectors[a + i] * vectors[b + i];
  return sum;
}

function passes(row) {
  const text = element("text").value.trim().toLowerCase();
  const label = element("label")?.value ?? "";
  return (label === "" || labels[row] === Number(label)) && (text === "" || sources[row].toLowerCase().includes(text));
}

function search(chosen) {
  scores = Float64Array.from(ids, (_, row) => product(chosen, row) / (lengths[chosen] * lengths[row]));
  const found = [...ids.keys()].filter((row) => row !== chosen && passes(row));
  found.sort((a, b) => scores[b] - scores[a] || ids[a] - ids[b]);
  shown = [chosen, ...found];
  element("chosen-title").textContent = `Like ${nameOf(chosen)}`;
  show();
}

function browse(atRandom) {
  scores = null;
  shown = [...ids.keys()].filter(passes);
  if (atRandom) {
    for (let i = shown.length - 1; i > 0; i -= 1) {
      const other = Math.floor(Math.random() * (i + 1));
      [shown[i], shown[other]] = [shown[other], shown[i]];
    }
  }
  element("chosen-title").textContent = "Images";
  show();
}

function nameOf(row) {
  return labels === null ? sources[row] : `${classes[labels[row]]}, ${sources[row]}`;
}

function show() {
  element("tiles").replaceChildren();
  const count = shown.length - (scores === null ? 0 : 1);
  element("said").textContent = count === 0 ? "There is none." : `${count.toLocaleString("en")} images${scores === null ? "" : ", the most similar first"}.`;
  more();
}

function more() {
  const list = element("tiles");
  const start = list.children.length;
  list.append(...shown.slice(start, start + PAGE).map((row, place) => tile(row, scores !== null && start + place === 0)));
  element("more").hidden = list.children.length >= shown.length;
}

function tile(row, isChosen) {
  const item = document.createElement("li");
  if (isChosen) item.className = "chosen";
  const button = document.createElement("button");
  button.type = "button";
  button.title = sources[row];
  button.setAttribute("aria-label", `Search from ${nameOf(row)}`);
  button.addEventListener("click", () => choose(row));
  button.append(picture(row));
  const caption = document.createElement("span");
  const score = scores === null ? "" : isChosen ? "chosen" : scores[row].toFixed(3);
  caption.textContent = [labels === null ? "" : classes[labels[row]], score].filter(Boolean).join(" · ");
  item.append(button, caption);
  if (isChosen && root !== null) {
    const link = document.createElement("a");
    link.href = root + sources[row].split("/").map(encodeURIComponent).join("/");
    link.textContent = "file";
    item.append(link);
  }
  return item;
}

// A tile of a sheet, as large as the page shows it.
function picture(row) {
  const number = Math.floor(row / (across * rows));
  const place = row % (across * rows);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  canvas.className = side <= 32 ? "pixels" : "";
  const left = (place % across) * side;
  const top = Math.floor(place / across) * side;
  loaded(number).then((sheet) => canvas.getContext("2d").drawImage(sheet, left, top, side, side, 0, 0, side, side));
  return canvas;
}

const opened = new Map();

function loaded(number) {
  if (!opened.has(number)) {
    const sheet = new Image();
    sheet.src = sheets[number];
    opened.set(number, sheet.decode().then(() => sheet));
  }
  return opened.get(number);
}

function choose(row) {
  location.hash = `#id=${ids[row]}`;
}

function follow() {
  const id = Number(new URLSearchParams(location.hash.slice(1)).get("id") ?? NaN);
  const row = ids.indexOf(id);
  if (row >= 0) {
    search(row);
    element("chosen-title").focus();
  } else browse(false);
}

element("filters").addEventListener("submit", (event) => event.preventDefault());
element("filters").addEventListener("input", follow);
element("random").addEventListener("click", () => {
  history.replaceState(null, "", "#");
  browse(true);
});
element("more").addEventListener("click", more);
window.addEventListener("hashchange", follow);
follow();
