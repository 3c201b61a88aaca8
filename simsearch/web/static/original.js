// The file behind the item that is asked about, where it is still there.

import { element } from "./dom.js";

export class Original {
  #client;
  #asked = null; // [id, parameters] of the item, or null
  #onProblem;

  constructor(client, onProblem) {
    this.#client = client;
    this.#onProblem = onProblem;
    element("original").addEventListener("click", () => this.#show());
  }

  // Offer the file of an item; of nothing without one.
  async offer(id = null, parameters = {}) {
    const asked = id === null ? null : [id, parameters];
    this.#asked = asked;
    element("original").hidden = true;
    if (asked === null) return;
    const item = await this.#client.item(id, parameters).catch(() => ({ original: false })); // the answer says why
    if (this.#asked === asked) element("original").hidden = !item.original;
  }

  // In a tab of its own; a token would not go along with an address.
  async #show() {
    try {
      window.open(await this.#client.original(...this.#asked), "_blank");
    } catch (problem) {
      this.#onProblem(problem);
    }
  }
}
