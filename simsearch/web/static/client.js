// Talking to the server: requests, their problems, and the order of answers.

export class Problem extends Error {
  constructor(status, detail, hint, retryAfter) {
    const said = hint ? `${capital(detail)}: ${hint}` : capital(detail);
    super(/[.?!]$/.test(said) ? said : `${said}.`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class Client {
  #token;

  constructor(token) {
    this.#token = token;
  }

  indexes() {
    return this.#request("api/indexes", {});
  }

  async search(image, parameters, signal) {
    return this.#answer("api/search", parameters, { method: "POST", body: image, signal });
  }

  async neighbors(id, parameters, signal) {
    return this.#answer(`api/items/${id}/neighbors`, parameters, { signal });
  }

  async vector(image, parameters, signal) {
    return this.#request(`api/vectors?${new URLSearchParams(parameters)}`, { method: "POST", body: image, signal });
  }

  async itemVector(id, parameters, signal) {
    return this.#request(`api/items/${id}/vector?${new URLSearchParams(parameters)}`, { signal });
  }

  async layers(image, parameters, signal) {
    return this.#request(`api/activations?${new URLSearchParams(parameters)}`, { method: "POST", body: image, signal });
  }

  async itemLayers(id, parameters, signal) {
    return this.#request(`api/items/${id}/activations?${new URLSearchParams(parameters)}`, { signal });
  }

  async steps(image, parameters) {
    return this.#request(`api/steps?${new URLSearchParams(parameters)}`, { method: "POST", body: image });
  }

  async map(parameters) {
    return this.#request(`api/map?${new URLSearchParams(parameters)}`, {});
  }

  async mistakes(parameters) {
    return this.#request(`api/mistakes?${new URLSearchParams(parameters)}`, {});
  }

  // The nearest of some items to a vector: { vector, items, k }.
  async nearest(asked, parameters, signal) {
    const options = { method: "POST", body: JSON.stringify(asked), type: "application/json", signal };
    return this.#request(`api/nearest?${new URLSearchParams(parameters)}`, options);
  }

  // The address of an item's picture, which lasts as long as the page.
  async picture(id, parameters) {
    const response = await this.#fetch(`api/items/${id}.png?${new URLSearchParams(parameters)}`, {});
    return URL.createObjectURL(await response.blob());
  }

  async item(id, parameters) {
    return this.#request(`api/items/${id}?${new URLSearchParams(parameters)}`, {});
  }

  // The address of the file that an item was made from, which lasts as long as the page.
  async original(id, parameters) {
    const response = await this.#fetch(`api/items/${id}/original?${new URLSearchParams(parameters)}`, {});
    return URL.createObjectURL(await response.blob());
  }

  async #answer(path, parameters, options) {
    const query = new URLSearchParams({ ...parameters, pictures: "true" });
    const { queries } = await this.#request(`${path}?${query}`, options);
    return queries[0];
  }

  async #request(path, options) {
    return (await this.#fetch(path, options)).json();
  }

  // type: what the body is; by default its bytes say so.
  async #fetch(path, { type = "application/octet-stream", ...options }) {
    const headers = new Headers();
    if (options.body) headers.set("Content-Type", type);
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    let response;
    try {
      response = await fetch(new URL(path, document.baseURI), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "the server does not answer", "is it still running?");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    const seconds = Number(response.headers.get("Retry-After")) || null;
    throw new Problem(response.status, problem.detail ?? `the server answered ${response.status}`, problem.hint, seconds);
  }
}

// Asks one question at a time and always ends with the newest: while one is being answered, only the last
// of those that follow is kept. Numbers keep an answer that was overtaken from being shown.
export class Latest {
  #show;
  #fail;
  #onBusy;
  #pause;
  #next = null;
  #number = 0;
  #running = null;
  #started = -Infinity;
  #timer = null;

  // onBusy(whether) is called when there begins to be something to answer, and when all is answered.
  // pause: least time in milliseconds between two questions.
  constructor(show, fail, onBusy, pause = 80) {
    this.#show = show;
    this.#fail = fail;
    this.#onBusy = onBusy;
    this.#pause = pause;
  }

  // ask(signal) gives the promise of an answer. At once: whatever is being answered is given up.
  want(ask, { atOnce = false } = {}) {
    if (atOnce) this.cancel();
    this.#next = ask;
    this.#onBusy(true);
    this.#schedule(atOnce ? 0 : this.#started + this.#pause - performance.now());
  }

  cancel() {
    this.#number += 1;
    this.#running?.abort();
    this.#running = this.#next = null;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#onBusy(false);
  }

  #schedule(wait) {
    if (this.#running || this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, wait));
  }

  async #run() {
    const ask = this.#next;
    const number = ++this.#number;
    const controller = (this.#running = new AbortController());
    this.#next = this.#timer = null;
    this.#started = performance.now();
    let wait = this.#pause;
    try {
      const answer = await ask(controller.signal);
      if (number === this.#number) this.#show(answer);
    } catch (error) {
      if (number !== this.#number || error.name === "AbortError") return;
      if (error.status === 503 && error.retryAfter) {
        this.#next ??= ask;
        wait = 1000 * error.retryAfter;
      }
      this.#fail(error);
    }
    if (number !== this.#number) return;
    this.#running = null;
    if (this.#next) this.#schedule(wait - (performance.now() - this.#started));
    else this.#onBusy(false);
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
