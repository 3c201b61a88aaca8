// How a picture was read, step by step: asked for only while the disclosure is open.

import { element, make, setPicture, setText } from "./dom.js";

export class Steps {
  #client;
  #ask = null; // what is asked when it is opened: parameters and a promise of the picture
  #number = 0;

  constructor(client) {
    this.#client = client;
    element("steps-part").addEventListener("toggle", () => this.#show());
  }

  // A picture, as a function that makes its blob; null where there is none to read.
  use(parameters, makeBlob) {
    this.#ask = makeBlob && { parameters, makeBlob };
    this.#number += 1;
    element("steps-part").hidden = !makeBlob;
    element("steps").replaceChildren();
    setText(element("steps-said"), "");
    this.#show();
  }

  async #show() {
    if (!this.#ask || !element("steps-part").open || element("steps").children.length) return;
    const number = ++this.#number;
    const { parameters, makeBlob } = this.#ask;
    setText(element("steps-said"), "Reading it…");
    let said;
    try {
      const reading = await this.#client.steps(await makeBlob(), parameters);
      if (number !== this.#number) return;
      element("steps").replaceChildren(...reading.steps.map(tile));
      said = reading.refused ?? (reading.steps.length > 1 ? "" : "The picture was taken as it is.");
    } catch (error) {
      if (number !== this.#number) return;
      said = error.message;
    }
    setText(element("steps-said"), said);
  }
}

function tile({ name, picture }) {
  const made = make("li");
  const image = make("img");
  setPicture(image, picture, "");
  made.append(image, make("span", "", name));
  return made;
}
