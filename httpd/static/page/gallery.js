/** The gallery: what is in it, what has come, what is searched for. */

import { announce } from "./announcer.js";
import { isAnswer, link } from "./api.js";
import { Collection } from "./collection.js";
import { byId, element, tell } from "./elements.js";
import { Follow } from "./follow.js";
import { Grid } from "./grid.js";
import { keepHere, recallHere } from "./memory.js";
import { settle } from "./stillness.js";
import { say } from "./words.js";

const SEARCH_MS = 250;
/** So far down the page a reload leads back to. */
const DEEPEST = 3000;
const COALESCE_MS = 150;

export class Gallery {
  /** @param {{onOpen: (index: number) => void, onArrival: () => void, onChange: () => void}} told */
  constructor(told) {
    this.told = told;
    this.arrived = new Map();
    this.timer = 0;
    this.isStuck = false;
    this.grid = new Grid({
      onOpen: told.onOpen,
      onNear: () => this.isStuck || this.more(),
      onDetail: (item) => this.collection.detail(item),
      onGone: (id) => this.forget(id),
    });
    this.collection = new Collection(queryOfPage());
    this.#watchSearch();
    byId("pill").addEventListener("click", () => this.#toTop());
    addEventListener("scroll", () => this.#atTop() && this.#admit(), { passive: true });
    addEventListener("pagehide", () => this.#leave());
    link.addEventListener("back", () => (this.isStuck ? this.more() : this.#catchUp()));
  }

  get items() {
    return this.collection.items;
  }

  /** Fetch the first page, go back to where the reader was, and listen for what comes. */
  async start() {
    await this.more();
    await this.#comeBack();
    this.follow = new Follow("/api/sse/gallery", {
      onData: (picture) => this.#hear(picture),
      onOpen: () => this.#catchUp(),
      onRefused: () => this.#catchUp(),
    });
  }

  /** A job is finished: look for its pictures, if they are not told of. */
  look() {
    if (!this.follow?.isLive) this.#catchUp();
  }

  /** Fetch the next page; whether there are more pictures than before. */
  async more() {
    const { collection } = this;
    this.isStuck = false;
    try {
      const count = await collection.more();
      if (collection !== this.collection) return false;
      this.#show();
      return count > 0;
    } catch (error) {
      if (!isAnswer(error)) throw error;
      if (collection === this.collection) this.#fault(error);
      return false;
    }
  }

  /** All that is known of a picture. */
  detail(item) {
    return this.collection.detail(item);
  }

  /** Take a picture that is deleted out of the page. */
  forget(id) {
    this.collection.remove(id);
    this.arrived.delete(id);
    this.#show({ stay: true });
    this.told.onChange();
  }

  #show(how = {}) {
    const { items, total, isWhole, query } = this.collection;
    this.grid.show(items, { isWhole, ...how });
    const count = total ?? (isWhole ? items.length : null);
    byId("gallery-count").textContent = count === null ? "" : say("pictureCount", { count });
    tell(byId("gallery-foot"), isWhole ? "" : say("loading"));
    const isEmpty = isWhole && items.length === 0;
    byId("empty").hidden = !isEmpty;
    if (isEmpty) byId("empty").replaceChildren(...(query ? this.#nothingFound(query) : invitation()));
  }

  #fault(error) {
    this.isStuck = true;
    const again = element("button", {
      type: "button",
      textContent: say("tryAgain"),
      onclick: () => this.more(),
    });
    const foot = byId("gallery-foot");
    foot.hidden = false;
    foot.replaceChildren(say("galleryFault", { reason: error.message }), " ", again);
  }

  #nothingFound(query) {
    const clear = element("button", {
      type: "button",
      textContent: say("clearSearch"),
      onclick: () => {
        byId("search").value = "";
        this.#search("");
        byId("search").focus();
      },
    });
    return [element("p", {}, say("nothingFound", { query })), clear];
  }

  /** A picture was published. */
  #hear(picture) {
    this.told.onArrival();
    // Whether it is among those that are searched for, only the server can tell.
    if (this.collection.query) this.#catchUpSoon();
    else this.#arrive([picture]);
  }

  #catchUpSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#catchUp(), COALESCE_MS);
  }

  /** Look for what was missed while nobody listened. */
  async #catchUp() {
    const { collection } = this;
    if (collection.fetching || !collection.pages.size) return;
    const news = await collection.news().catch(() => []);
    if (collection === this.collection) this.#arrive(news);
  }

  #arrive(pictures) {
    for (const picture of pictures) {
      if (!this.collection.known.has(picture.id)) this.arrived.set(picture.id, picture);
    }
    if (this.#atTop()) this.#admit();
    else this.#offer();
  }

  /** Put what has come into the gallery. */
  #admit() {
    if (!this.arrived.size) return;
    const pictures = [...this.arrived.values()];
    this.arrived.clear();
    this.#offer();
    const added = this.collection.insert(pictures);
    this.#show();
    for (const { id } of added) this.grid.welcome(id);
    this.told.onChange();
  }

  #offer() {
    const count = this.arrived.size;
    const words = count ? say("newPictures", { count }) : "";
    if (words && byId("pill").hidden) announce(words);
    tell(byId("pill"), words);
  }

  #toTop() {
    byId("gallery").scrollIntoView({ behavior: "instant" });
    byId("gallery").focus({ preventScroll: true });
    this.#admit();
  }

  /** Whether the reader looks at the beginning of the gallery, or above it. */
  #atTop() {
    return byId("grid").hidden || byId("grid").getBoundingClientRect().top > 0;
  }

  #watchSearch() {
    const field = byId("search");
    let timer = 0;
    field.value = this.collection.query;
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#search(field.value.trim()), SEARCH_MS);
    });
    addEventListener("keydown", (event) => {
      const isFree = !event.target.closest("input, textarea, select, dialog");
      if (event.key !== "/" || !isFree) return;
      event.preventDefault();
      field.focus();
    });
  }

  async #search(query) {
    if (query === this.collection.query) return;
    const url = new URL(location.href);
    if (query) url.searchParams.set("q", query);
    else url.searchParams.delete("q");
    history.replaceState(history.state, "", url);
    this.collection = new Collection(query);
    this.arrived.clear();
    this.#offer();
    const { collection } = this;
    await this.more();
    if (collection !== this.collection) return;
    if (!this.#atTop()) byId("gallery").scrollIntoView({ behavior: "instant" });
    const count = collection.total ?? collection.items.length;
    announce(count ? say("pictureCount", { count }) : say("nothingFound", { query }));
    this.told.onChange();
  }

  #leave() {
    const anchor = this.grid.anchor();
    const place = { query: this.collection.query, count: this.items.length, y: scrollY, anchor };
    keepHere("place", place);
  }

  async #comeBack() {
    // The browser would scroll before the pictures are there.
    history.scrollRestoration = "manual";
    const { query, count, y, anchor } = recallHere("place") ?? {};
    if (query !== this.collection.query || count > DEEPEST) return;
    if (!anchor) {
      window.scrollTo({ top: y, behavior: "instant" });
      return;
    }
    while (!this.collection.known.has(anchor.id) && this.items.length < count) {
      if (!(await this.more())) return;
    }
    this.grid.restore(anchor);
    // A notice that has just appeared is made up for already.
    settle();
    this.grid.draw();
  }
}

function queryOfPage() {
  return new URLSearchParams(location.search).get("q")?.trim() ?? "";
}

function invitation() {
  const lines = [
    `echo '{"prompt": "a red circle on a white background"}' > circle.json`,
    "mv circle.json $GENZO_SPOOL/incoming/",
  ];
  return [
    element("h3", {}, say("emptyTitle")),
    element("p", {}, say("emptyText")),
    element("pre", {}, element("code", { lang: "en" }, lines.join("\n"))),
  ];
}
