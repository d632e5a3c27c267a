/** One picture of the gallery: a box of its shape, filled when the thumbnail is there. */

import { element, place } from "./elements.js";

const SHOWN_CHARS = 200;

export class Tile {
  /** @param {import("./collection.js").Item} item */
  constructor(item) {
    this.item = item;
    this.image = element("img", { alt: "", decoding: "async", draggable: false });
    this.link = element(
      "a",
      { href: `/api/images/${item.filename}`, tabIndex: -1, "data-id": item.id },
      this.image,
    );
    this.node = element("div", { className: "tile", role: "gridcell" }, this.link);
    this.image.addEventListener("load", () => this.node.classList.add("loaded"));
  }

  /** Take the place that the row gives it. */
  fit(width, height) {
    place(this.node, { width, height });
  }

  /** Begin to load what it shows. */
  load() {
    if (!this.image.hasAttribute("src")) this.image.src = `/api/thumbs/${this.item.filename}`;
  }

  /** Name it by its prompt. */
  name(picture) {
    const prompt = String(picture.metadata.prompt ?? "").replace(/\s+/g, " ").trim();
    const short = prompt.slice(0, SHOWN_CHARS) || picture.filename;
    if (this.image.alt !== short) this.image.alt = short;
  }

  /** Let go of a thumbnail that is still on its way. */
  release() {
    if (!this.image.complete) this.image.removeAttribute("src");
    this.node.remove();
  }
}
