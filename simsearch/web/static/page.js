// The page: what is asked (a drawing, a file, an item), and where it is written in the address.

import { Client, Latest } from "./client.js";
import { element, setText } from "./dom.js";
import { Original } from "./original.js";
import { Pad } from "./pad.js";
import { readImage } from "./pictures.js";
import { readPlace, takeToken, writePlace } from "./place.js";
import { Results } from "./results.js";
import { encodeStrokes } from "./sharing.js";
import { Steps } from "./steps.js";
import { toBlob } from "./strokes.js";
import { Views } from "./views.js";
import { count, subjectOf } from "./words.js";

const HITS = 12; // fills two rows of six and three of four
const QUIET = 700; // milliseconds without a change after which the drawing rests

const client = new Client(takeToken());
const results = new Results((id) => go({ id }));
const steps = new Steps(client);
const latest = new Latest(showAnswer, showProblem, (busy) => element("main").setAttribute("aria-busy", busy));
const pad = new Pad(element("pad"), onDrawn);
const original = new Original(client, showProblem);
const views = new Views(client, (id, view) => go({ id, view }), onView);
let indexes = [];
let index; // the one that is asked
let shown = null; // what the answer that is shown is about, or null where none is: "drawing", "file", "item"
let onRest = null;
let reading = 0; // number of the file that was chosen last

// Write what is asked into the address, and ask it.
function go({ id = null, name = index.name, view }) {
  keepDrawing();
  const changes = { id, index: name === indexes[0].name ? null : name, ...(view && { view }) };
  writePlace({ ...changes, ...(id === null ? {} : { drawing: null }) });
  follow();
}

// Do what the address says: an item, or else its drawing, or what is on the pad.
function follow() {
  const place = readPlace();
  const named = indexes.find((each) => each.name === (place.index ?? indexes[0].name));
  if (place.view !== views.shown) views.show(place.view);
  present(place.isPresented);
  use(named ?? indexes[0]);
  if (!named) return showProblem(new Error(`There is no gallery ${place.index.slice(0, 40)} here.`));
  if (place.id !== null) return followItem(place.id);
  if (place.strokes && place.drawing !== encodeStrokes(pad.strokes)) pad.replace({ strokes: place.strokes });
  else pad.preview(null);
  updateTools();
  if (!pad.file) steps.use({}, null);
  if (pad.file) askFile();
  else if (!pad.isEmpty) askDrawing(true);
  else begin();
}

function followItem(id) {
  updateTools();
  steps.use({}, null);
  if (/^\d{1,18}$/.test(id)) askItem(id);
  else showProblem(new Error(`${id.slice(0, 40)} is no item: items have numbers.`));
}

function begin() {
  latest.cancel();
  showMessage("");
  shown = null;
  views.answer(null);
  writePlace({ drawing: null }, { replace: true });
  results.begin(index);
  say("");
  describe("");
}

function use(chosen) {
  if (index === chosen) return;
  index = chosen;
  shown = null;
  results.use(index);
  views.use(index);
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
  const isItem = readPlace().id !== null;
  if (isItem) writePlace({ id: null, drawing: null });
  return isItem;
}

// Ask, and take away an answer that is not about what is shown now. how: how each question is asked.
// about: what the views are told of it besides.
function ask(kind, atOnce, how, about = {}) {
  if (shown !== kind || (atOnce && kind !== "drawing")) leaveAnswer();
  const place = { index: index.name };
  latest.want(async (signal) => {
    const [answer, ...more] = await Promise.all([
      how.search({ ...place, k: HITS }, signal),
      views.needsVector && how.vector(place, signal),
      views.needsLayers && how.layers(place, signal),
    ]);
    return Object.assign({ kind, answer, ...about }, ...more);
  }, { atOnce });
}

function askPicture(kind, atOnce, make, about = {}) {
  let blob; // made once for all questions
  const body = () => (blob ??= make());
  ask(kind, atOnce, {
    search: async (parameters, signal) => client.search(await body(), parameters, signal),
    vector: async (parameters, signal) => client.vector(await body(), parameters, signal),
    layers: async (parameters, signal) => client.layers(await body(), parameters, signal),
  }, about);
}

function askDrawing(atOnce) {
  const { strokes } = pad;
  askPicture("drawing", atOnce, () => toBlob(strokes), { strokes });
}

function askFile() {
  const { body } = pad.file;
  steps.use({ index: index.name }, subjectOf(index).isDrawn ? () => body : null);
  askPicture("file", true, () => body);
}

function askItem(id) {
  ask("item", true, {
    search: (parameters, signal) => client.neighbors(id, parameters, signal),
    vector: (parameters, signal) => client.itemVector(id, parameters, signal),
    layers: (parameters, signal) => client.itemLayers(id, parameters, signal),
  });
}

function leaveAnswer() {
  shown = null;
  results.wait();
  views.answer(null);
  describe("");
}

// Another view is shown, which may need what was not asked for before.
function onView(name) {
  writePlace({ view: name === "hits" ? null : name }, { replace: true });
  if (shown !== null && views.needsVector) follow();
}

async function takeFile(file) {
  const number = ++reading;
  latest.cancel();
  leaveAnswer();
  const read = await readImage(file);
  if (number !== reading) return;
  pad.replace({ file: read });
  leaveItem();
  follow();
}

async function showAnswer(found) {
  const { kind, answer } = found;
  showMessage("");
  shown = kind;
  views.answer(found, kind === "file" ? pad.file.name : kind === "item" ? `item ${answer.id}` : "");
  say(results.show(answer));
  if (kind !== "item") return describe(kind === "file" ? pad.file.name : "");
  describe(`Item ${answer.id}`, answer.truth === null ? "" : `class ${answer.truth}`);
  original.offer(answer.id, { index: index.name });
  const image = new Image();
  image.src = answer.pictures.query;
  await image.decode();
  if (readPlace().id === String(answer.id)) pad.preview(image);
  updateTools();
}

// Say what is asked about, below the pad and in the title of the tab.
function describe(name, label = "") {
  original.offer();
  setText(element("asked"), [name, label].filter(Boolean).join(", "));
  const said = element("label").textContent;
  const title = [name ? element("asked").textContent : said && `${said}: a drawing`, index.name, "simsearch"];
  document.title = title.filter(Boolean).join(" · ");
}

function showProblem(problem) {
  showMessage(problem.message);
  element("again").hidden = problem.status === undefined || (problem.status > 0 && problem.status < 500);
  element("anew").hidden = !index || readPlace().id === null;
  if (!index || problem.retryAfter) return; // nothing is known yet, or it is asked again
  shown = null;
  views.answer(null);
  results.begin(index, "There is no answer.");
  say("");
  describe("");
  updateTools();
}

function showMessage(text) {
  setText(element("message"), text);
  element("again").hidden = element("anew").hidden = true;
}

// Said, and written into the address, once the drawing rests: not at every answer.
function say(text) {
  clearTimeout(onRest);
  onRest = setTimeout(() => {
    setText(element("summary"), text);
    keepDrawing();
  }, QUIET);
}

function keepDrawing() {
  if (shown === "drawing") writePlace({ drawing: encodeStrokes(pad.strokes) }, { replace: true });
}

function updateTools() {
  const isItem = readPlace().id !== null;
  element("undo").disabled = !pad.canUndo;
  element("clear").disabled = pad.isEmpty && !isItem;
  element("invitation").hidden = !pad.isEmpty || isItem;
}

function onDrawn(kind) {
  reading += 1;
  steps.use({}, null);
  const left = leaveItem();
  updateTools();
  if (kind === "stroke") return askDrawing(left);
  writePlace({ drawing: null }, { replace: true }); // the address says what was drawn before
  follow();
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

// Pad, answer and map alone, large.
function present(whether) {
  document.body.classList.toggle("presented", whether);
  element("present").setAttribute("aria-pressed", whether);
  if (whether && views.shown !== "map") views.show("map");
}

function togglePresent() {
  const whether = !document.body.classList.contains("presented");
  writePlace({ present: whether ? "" : null, view: whether ? "map" : readPlace().view }, { replace: true });
  present(whether);
  onView(views.shown);
}

function listen() {
  element("present").addEventListener("click", togglePresent);
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
    else if (event.key === "Escape" && document.body.classList.contains("presented")) togglePresent();
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
