// What the address says after its #: the gallery, an item, a drawing, the view. It can be shared.

import { decodeStrokes } from "./sharing.js";

export function readPlace() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return {
    index: parameters.get("index"),
    id: parameters.get("id"),
    strokes: parameters.has("drawing") ? decodeStrokes(parameters.get("drawing")) : null,
    drawing: parameters.get("drawing"),
    view: parameters.get("view"),
    isPresented: parameters.has("present"),
  };
}

// Change parts of the address; null takes one out.
export function writePlace(changes, { replace = false } = {}) {
  const parameters = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) parameters.delete(name);
    else parameters.set(name, value);
  }
  const address = parameters.size ? `#${parameters}`.replace(/=(?=&|$)/g, "") : location.pathname;
  if (address === (location.hash || location.pathname)) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

// A token comes as #token=... and is kept for this tab, out of the address.
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) {
    sessionStorage.setItem("token", token);
    writePlace({ token: null }, { replace: true });
  }
  return sessionStorage.getItem("token");
}
