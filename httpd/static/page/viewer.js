/** One picture, as large as the window lets it be, and what it was made from. */

import { announce } from "./announcer.js";
import { remove } from "./api.js";
import { byId } from "./elements.js";
import { keep, recall } from "./memory.js";
import { confirmed } from "./question.js";
import { copy, curlOf, jsonOf, requestOf } from "./recipe.js";
import { showSheet } from "./sheet.js";
import { onSwipe } from "./swipe.js";
import { say } from "./words.js";

/** So many times its own size a small picture is shown at most. */
const LARGEST_SCALE = 3;
const WORD_MS = 6000;

export class Viewer {
  /**
   * @param {import("./gallery.js").Gallery} gallery
   * @param {(request: any) => void} onUse Takes over a picture's settings.
   */
  constructor(gallery, onUse) {
    this.gallery = gallery;
    this.onUse = onUse;
    this.dialog = byId("viewer");
    this.image = byId("viewer-image");
    this.item = null;
    this.picture = null;
    /** Whether the address names a picture: from its opening until its closing is told. */
    this.isShown = false;
    /** Whether the browser is on its way back, and the picture that waits for its arrival. */
    this.isLeaving = false;
    this.next = null;
    this.#listen();
    this.#showSheet(recall("sheet", matchMedia("(min-width: 60rem)").matches));
  }

  /** Show the picture at `index` of the gallery. */
  open(index) {
    const item = this.gallery.items[index];
    if (!item) return;
    if (this.isLeaving) {
      this.next = item;
      return;
    }
    if (!this.isShown) history.pushState({ isViewer: true }, "", `#${item.id}`);
    this.#appear(item);
  }

  /** Show the picture that the page's address names, if the gallery has it. */
  openNamed() {
    const id = location.hash.slice(1);
    const item = id ? this.gallery.collection.known.get(id) : null;
    if (item) this.#appear(item);
  }

  /** The gallery has changed: say anew where the picture stands in it. */
  refresh() {
    if (!this.dialog.open || !this.item) return;
    const index = this.#index();
    const count = this.gallery.collection.total ?? this.gallery.items.length;
    byId("viewer-place").textContent =
      index < 0 ? "" : say("placeOf", { place: index + 1, count });
    byId("viewer-previous").disabled = index <= 0;
    byId("viewer-next").disabled =
      index === this.gallery.items.length - 1 && this.gallery.collection.isWhole;
  }

  #listen() {
    const on = (id, action) => byId(id).addEventListener("click", action);
    on("viewer-previous", () => this.#turn(-1));
    on("viewer-next", () => this.#turn(1));
    on("viewer-close", () => this.dialog.close());
    on("viewer-info", () => this.#showSheet(byId("sheet").hidden));
    on("viewer-delete", () => this.#delete());
    on("use-settings", () => this.#use());
    on("copy-json", () => this.#copy(jsonOf));
    on("copy-curl", () => this.#copy(curlOf));
    this.image.addEventListener("click", () => byId("stage").classList.toggle("actual"));
    this.image.addEventListener("error", () => this.#missing());
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.dialog.addEventListener("close", () => this.#closed());
    addEventListener("popstate", () => this.#wentBack());
    onSwipe(byId("stage"), {
      onSide: (step) => this.#turn(step),
      onDown: () => this.dialog.close(),
    });
  }

  #appear(item) {
    this.isShown = true;
    if (!this.dialog.open) this.dialog.showModal();
    this.#show(item);
  }

  async #show(item) {
    this.item = item;
    this.picture = null;
    history.replaceState(history.state, "", `#${item.id}`);
    byId("stage").classList.remove("actual");
    byId("viewer-gone").hidden = true;
    this.image.hidden = false;
    const url = `/api/images/${item.filename}`;
    // The thumbnail stands in until the picture is there.
    this.image.style.setProperty("background-image", `url("/api/thumbs/${item.filename}")`);
    this.image.src = url;
    byId("viewer-download").href = url;
    byId("viewer-download").download = item.filename;
    this.refresh();
    const picture = await this.gallery.detail(item).catch(() => null);
    if (this.item === item) this.#tell(picture);
    this.#fetchAhead();
  }

  #tell(picture) {
    this.picture = picture;
    showSheet(picture);
    if (!picture) return;
    const prompt = String(picture.metadata.prompt ?? picture.filename);
    this.image.alt = prompt;
    const { style } = this.image;
    style.setProperty("--ratio", String(picture.width / picture.height));
    style.setProperty("--natural", `${picture.width}px`);
    style.setProperty("--largest", `${picture.width * LARGEST_SCALE}px`);
    announce(`${byId("viewer-place").textContent}. ${prompt}`);
  }

  /** The next page of the gallery, and the neighbours' pictures, before they are asked for. */
  #fetchAhead() {
    const { items, collection } = this.gallery;
    const index = this.#index();
    if (index > items.length - 10 && !collection.isWhole) {
      this.gallery.more().then(() => this.refresh());
    }
    for (const neighbour of [items[index + 1], items[index - 1]]) {
      if (neighbour) new Image().src = `/api/images/${neighbour.filename}`;
    }
  }

  #index() {
    return this.gallery.items.indexOf(this.item);
  }

  #turn(step) {
    const next = this.gallery.items[this.#index() + step];
    if (next) this.#show(next);
  }

  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { items } = this.gallery;
    const actions = {
      ArrowLeft: () => this.#turn(-1),
      ArrowRight: () => this.#turn(1),
      Home: () => this.open(0),
      End: () => this.open(items.length - 1),
      i: () => this.#showSheet(byId("sheet").hidden),
      z: () => byId("stage").classList.toggle("actual"),
      Delete: () => this.#delete(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  #showSheet(isShown) {
    byId("sheet").hidden = !isShown;
    byId("viewer-info").setAttribute("aria-pressed", String(isShown));
    keep("sheet", isShown);
  }

  #missing() {
    this.image.hidden = true;
    byId("viewer-gone").hidden = false;
  }

  async #delete() {
    const { item } = this;
    const isMeant = await confirmed({
      text: say("deleteQuestion"),
      yes: say("delete"),
      no: say("keep"),
    });
    if (!isMeant) return;
    try {
      await remove(`/api/images/${item.filename}`);
    } catch (error) {
      // What is gone already needs no deleting.
      if (error.status !== 404) {
        this.#say(say("notDeleted", { reason: error.message }));
        return;
      }
    }
    const { items } = this.gallery;
    const index = items.indexOf(item);
    const next = items[index + 1] ?? items[index - 1];
    this.gallery.forget(item.id);
    if (!this.dialog.open) return;
    this.#say(say("deleted"));
    if (next) this.#show(next);
    else this.dialog.close();
  }

  #use() {
    if (!this.picture) return;
    const request = requestOf(this.picture.metadata);
    this.isUsing = true;
    this.dialog.close();
    this.onUse(request);
    announce(say("settingsFilled"));
  }

  async #copy(textOf) {
    if (!this.picture) return;
    const isCopied = await copy(textOf(this.picture.metadata), this.dialog);
    this.#say(say(isCopied ? "copied" : "notCopied"));
  }

  /** A word on what was done, for a moment. */
  #say(words) {
    const place = byId("viewer-word");
    place.textContent = words;
    clearTimeout(this.wordTimer);
    this.wordTimer = setTimeout(() => place.replaceChildren(), WORD_MS);
  }

  #closed() {
    // Opened again before this was told.
    if (this.dialog.open) return;
    this.isShown = false;
    byId("viewer-word").replaceChildren();
    this.image.removeAttribute("src");
    this.isLeaving = Boolean(history.state?.isViewer);
    if (this.isLeaving) history.back();
    else history.replaceState(history.state, "", location.pathname + location.search);
    if (!this.isUsing && this.item) this.gallery.grid.focus(this.item.id);
    this.isUsing = false;
  }

  #wentBack() {
    if (this.isLeaving) {
      const { next } = this;
      this.isLeaving = false;
      this.next = null;
      if (next) this.open(this.gallery.items.indexOf(next));
      return;
    }
    if (!location.hash && this.dialog.open) this.dialog.close();
    else if (location.hash && !this.dialog.open) this.openNamed();
  }
}
