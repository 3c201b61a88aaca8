// What every part of the page does with elements.

export const element = (id) => document.getElementById(id);

export function make(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function button(className, text, onClick) {
  const made = make("button", className, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

// Give a list so many elements; those that stay are changed in place, so nothing flickers.
export function resize(list, count, create) {
  while (list.children.length > count) list.lastElementChild.remove();
  while (list.children.length < count) list.append(create());
}

export function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

export function setPicture(image, address, alt) {
  if (image.getAttribute("src") !== address) image.src = address;
  image.alt = alt;
}
