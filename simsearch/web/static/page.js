// The page: what is asked (a drawing, a file, an item), and where it is written in the address.

import { Client, Latest, readImage } from "/static/client.js";
import { Pad } from "/static/pad.js";
import { Results } from "/static/results.js";

const HITS = 12; // fills two rows of six and three of four

const element = (id) => document.getElementById(id);

const client = new Client(takeToken());
const results = new Results((id) => go({ id }));
const latest = new Latest(showAnswer, showProblem, (busy) => element("main").setAttribute("aria-busy", busy));
const pad = new Pad(element("pad"), onDrawn);
let indexes = [];
let index; // the one that is asked
let upload = null; // the file that is asked about
let speaking = null;

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
function go({ id = null, name = index.name, replace = false }) {
  const place = new URLSearchParams();
  if (name !== indexes[0].name) place.set("index", name);
  if (id !== null) place.set("id", id);
  const address = place.size ? `#${place}` : location.pathname;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  follow();
}

// Do what the address says: an item, or else the drawing.
function follow() {
  const place = readAddress();
  const named = indexes.find((each) => each.name === (place.get("index") ?? indexes[0].name));
  if (!named) return showProblem(new Error(`There is no gallery ${place.get("index")} here.`));
  const changed = index !== named;
  index = named;
  if (changed) showIndex();
  if (/^\d{1,18}$/.test(place.get("id") ?? "")) return askItem(place.get("id"));
  pad.show(upload?.picture ?? null);
  updateTools();
  if (upload) askUpload();
  else if (!pad.isEmpty) askDrawing(true);
  else {
    latest.cancel();
    showMessage("");
    results.begin(index);
    say("");
  }
}

// Leave the item that the address names, if any, for a drawing or a file; true if there was one.
function leaveItem() {
  if (!readAddress().has("id")) return false;
  history.pushState(null, "", index === indexes[0] ? location.pathname : `#index=${index.name}`);
  return true;
}

function parameters() {
  return { index: index.name, k: HITS };
}

function askDrawing(atOnce) {
  const asked = parameters();
  latest.want(async (signal) => client.search(await pad.toBlob(), asked, signal), { atOnce });
}

function askItem(id) {
  const asked = parameters();
  latest.want((signal) => client.neighbors(id, asked, signal), { atOnce: true });
}

function askUpload() {
  const asked = parameters();
  const { body } = upload;
  latest.want((signal) => client.search(body, asked, signal), { atOnce: true });
}

async function askFile(file) {
  upload = await readImage(file);
  pad.putAway();
  leaveItem();
  follow();
}

async function showAnswer(answer) {
  showMessage("");
  say(results.show(answer));
  if (answer.kind !== "item") return;
  const image = new Image();
  image.src = answer.pictures.query;
  await image.decode();
  if (readAddress().get("id") === String(answer.id)) pad.show(image);
  updateTools();
}

function showProblem(problem) {
  showMessage(problem.message);
}

function showMessage(text) {
  if (element("message").textContent !== text) element("message").textContent = text;
}

// Said once the drawing rests, not at every answer.
function say(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (element("summary").textContent = text), 700);
}

function showIndex() {
  results.use(index);
  element("index").value = index.name;
  const name = indexes.length < 2 ? `${index.name}: ` : "";
  element("facts").textContent = `${name}${index.items.toLocaleString("en")} images`;
}

function updateTools() {
  const isBlank = pad.isEmpty && !pad.hasPicture;
  element("undo").disabled = !pad.canUndo;
  element("clear").disabled = isBlank;
  element("invitation").hidden = !isBlank;
}

function onDrawn(kind) {
  upload = null;
  const left = leaveItem();
  updateTools();
  if (kind === "stroke") askDrawing(left);
  else follow();
}

function chooseFile(files) {
  const file = [...(files ?? [])][0];
  if (file) askFile(file);
  return Boolean(file);
}

function listen() {
  element("undo").addEventListener("click", () => pad.undo());
  element("clear").addEventListener("click", () => pad.clear());
  element("pen").addEventListener("input", (event) => (pad.width = event.target.value / 100));
  element("index").addEventListener("change", (event) => go({ name: event.target.value }));
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
  try {
    ({ indexes } = await client.indexes());
  } catch (problem) {
    return showProblem(problem);
  }
  const select = element("index");
  for (const { name } of indexes) select.append(new Option(name, name));
  select.hidden = indexes.length < 2;
  pad.width = element("pen").value / 100;
  listen();
  follow();
}

start();
