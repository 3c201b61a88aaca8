// The page: what is asked (a drawing, a file, an item), and where it is written in the address.

import { Client, Latest } from "./client.js";
import { element, setText } from "./dom.js";
import { Pad } from "./pad.js";
import { readImage } from "./pictures.js";
import { Results } from "./results.js";
import { toBlob } from "./strokes.js";
import { count, subjectOf } from "./words.js";

const HITS = 12; // fills two rows of six and three of four
const QUIET = 700; // milliseconds without a change after which the drawing rests

const client = new Client(takeToken());
const results = new Results((id) => go({ id }));
const latest = new Latest(showAnswer, showProblem, (busy) => element("main").setAttribute("aria-busy", busy));
const pad = new Pad(element("pad"), onDrawn);
let indexes = [];
let index; // the one that is asked
let shown = null; // what the answer that is shown is about, or null where none is: "drawing", "file", "item"
let onRest = null;
let reading = 0; // number of the file that was chosen last

// A token comes as #token=... and is kept for this tab, out of the address.
function takeToken() {
  const place = readAddress();
  if (place.has("token")) {
    sessionStorage.setItem("token", place.get("token"));
    place.delete("token");
    history.replaceState(null, "", place.size ? `#${place}` : location.pathname);
  }
  return sessionStorage.getItem("token");
}

function readAddress() {
  return new URLSearchParams(location.hash.slice(1));
}

// Write what is asked into the address, and ask it.
function go({ id = null, name = index.name }) {
  const place = new URLSearchParams();
  if (name !== indexes[0].name) place.set("index", name);
  if (id !== null) place.set("id", id);
  history.pushState(null, "", place.size ? `#${place}` : location.pathname);
  follow();
}

// Do what the address says: an item, or else what is on the pad.
function follow() {
  const place = readAddress();
  const named = indexes.find((each) => each.name === (place.get("index") ?? indexes[0].name));
  use(named ?? indexes[0]);
  if (!named) return showProblem(new Error(`There is no gallery ${place.get("index")} here.`));
  const id = place.get("id") ?? "";
  if (/^\d{1,18}$/.test(id)) return askItem(id);
  pad.preview(null);
  updateTools();
  if (id) showProblem(new Error(`${id.slice(0, 40)} is no item: items have numbers.`));
  else if (pad.file) askFile();
  else if (!pad.isEmpty) askDrawing(true);
  else begin();
}

function begin() {
  latest.cancel();
  showMessage("");
  shown = null;
  results.begin(index);
  say("");
  describe("");
}

function use(chosen) {
  if (index === chosen) return;
  index = chosen;
  shown = null;
  results.use(index);
  element("index").value = index.name;
  const name = indexes.length < 2 ? `${index.name}: ` : "";
  setText(element("facts"), `${name}${count(index.items)} images`);
  const subject = subjectOf(index);
  setText(element("slogan"), subject.slogan);
  setText(element("ask-title"), subject.title);
  setText(element("invitation"), subject.isDrawn ? "draw here" : "drop or paste a picture here, or choose one");
  document.body.classList.toggle("drop", !subject.isDrawn);
  pad.isForDrawing = subject.isDrawn;
}

// Leave the item that the address names, if any, for a drawing or a file; true if there was one.
function leaveItem() {
  if (!readAddress().has("id")) return false;
  history.pushState(null, "", index === indexes[0] ? location.pathname : `#index=${encodeURIComponent(index.name)}`);
  return true;
}

// Ask, and take away an answer that is not about what is shown now.
function ask(kind, atOnce, send) {
  if (shown !== kind || (atOnce && kind !== "drawing")) {
    shown = null;
    results.wait();
    describe("");
  }
  const parameters = { index: index.name, k: HITS };
  latest.want(async (signal) => ({ kind, answer: await send(parameters, signal) }), { atOnce });
}

function askDrawing(atOnce) {
  ask("drawing", atOnce, async (parameters, signal) => client.search(await toBlob(pad.strokes), parameters, signal));
}

function askItem(id) {
  ask("item", true, (parameters, signal) => client.neighbors(id, parameters, signal));
}

function askFile() {
  const { body } = pad.file;
  ask("file", true, (parameters, signal) => client.search(body, parameters, signal));
}

async function takeFile(file) {
  const number = ++reading;
  latest.cancel();
  shown = null;
  results.wait();
  const read = await readImage(file);
  if (number !== reading) return;
  pad.replace({ file: read });
  leaveItem();
  follow();
}

async function showAnswer({ kind, answer }) {
  showMessage("");
  shown = kind;
  say(results.show(answer));
  if (kind !== "item") return describe(kind === "file" ? pad.file.name : "");
  describe(`Item ${answer.id}`, answer.truth === null ? "" : `class ${answer.truth}`);
  const image = new Image();
  image.src = answer.pictures.query;
  await image.decode();
  if (readAddress().get("id") === String(answer.id)) pad.preview(image);
  updateTools();
}

// Say what is asked about, below the pad and in the title of the tab.
function describe(name, label = "") {
  setText(element("asked"), [name, label].filter(Boolean).join(", "));
  const said = element("label").textContent;
  const title = [name ? element("asked").textContent : said && `${said}: a drawing`, index.name, "simsearch"];
  document.title = title.filter(Boolean).join(" · ");
}

function showProblem(problem) {
  showMessage(problem.message);
  element("again").hidden = problem.status === undefined || (problem.status > 0 && problem.status < 500);
  element("anew").hidden = !index || !readAddress().has("id");
  if (!index || problem.retryAfter) return; // nothing is known yet, or it is asked again
  shown = null;
  results.begin(index, "There is no answer.");
  say("");
  describe("");
  updateTools();
}

function showMessage(text) {
  setText(element("message"), text);
  element("again").hidden = element("anew").hidden = true;
}

// Said once the drawing rests, not at every answer.
function say(text) {
  clearTimeout(onRest);
  onRest = setTimeout(() => setText(element("summary"), text), QUIET);
}

function updateTools() {
  const isItem = readAddress().has("id");
  element("undo").disabled = !pad.canUndo;
  element("clear").disabled = pad.isEmpty && !isItem;
  element("invitation").hidden = !pad.isEmpty || isItem;
}

function onDrawn(kind) {
  reading += 1;
  const left = leaveItem();
  updateTools();
  if (kind === "stroke") askDrawing(left);
  else follow();
}

function chooseFile(files) {
  const file = [...(files ?? [])][0];
  if (file) takeFile(file);
  return Boolean(file);
}

function erase(whether) {
  pad.isErasing = whether;
  element("eraser").setAttribute("aria-pressed", whether);
  element("frame").classList.toggle("erasing", whether);
}

function listen() {
  element("undo").addEventListener("click", () => pad.undo());
  element("clear").addEventListener("click", () => pad.clear());
  element("eraser").addEventListener("click", () => erase(!pad.isErasing));
  element("pen").addEventListener("input", (event) => {
    pad.width = event.target.value / 100;
    erase(false);
  });
  element("index").addEventListener("change", (event) => go({ name: event.target.value }));
  element("pad").addEventListener("click", () => pad.isForDrawing || element("file").click());
  element("anew").addEventListener("click", () => go({}));
  element("file").addEventListener("change", (event) => {
    chooseFile(event.target.files);
    event.target.value = ""; // the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (chooseFile(event.clipboardData?.files)) event.preventDefault();
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("frame").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) element("frame").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("frame").classList.remove("over");
    chooseFile(event.dataTransfer?.files);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) pad.undo();
    else if (event.key === "Delete" && event.target.tagName !== "SELECT") pad.clear();
    else return;
    event.preventDefault();
  });
  window.addEventListener("popstate", follow);
}

async function start() {
  showMessage("");
  try {
    ({ indexes } = await client.indexes());
  } catch (problem) {
    setText(element("reason"), "There is no gallery yet.");
    return showProblem(problem);
  }
  const select = element("index");
  for (const { name } of indexes) select.append(new Option(name, name));
  select.hidden = indexes.length < 2;
  pad.width = element("pen").value / 100;
  listen();
  follow();
}

element("again").addEventListener("click", () => (index ? follow() : start()));
start();
