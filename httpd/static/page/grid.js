/**
 * The rows of the gallery that are in sight, and a few around them; of a hundred thousand pictures
 * no more are in the document.
 *
 * A grid in the sense of ARIA: one stop of the tab key, arrow keys within.
 */

import { byId, element, place } from "./elements.js";
import { rowAt, rowOfItem, rowsOf } from "./rows.js";
import { Tile } from "./tile.js";

const GAP_PX = 6;
const PHONE_GAP_PX = 3;
const PHONE_PX = 600;
const MARGIN_PX = 700;
/** Thumbnails are not asked for while the page flies past them, in pixels a frame. */
const FAST_PX = 900;
const SETTLED_MS = 120;

export class Grid {
  /** @param {{onOpen: (index: number) => void, onNear: () => void, onDetail: (item: any) => Promise<any>, onGone: (id: string) => void}} told */
  constructor(told) {
    this.told = told;
    this.node = byId("grid");
    this.items = [];
    this.rows = [];
    this.tiles = new Map();
    this.shown = new Map();
    this.active = 0;
    this.isWhole = false;
    this.width = 0;
    this.lastY = 0;
    this.frame = 0;
    this.settling = 0;
    this.#listen();
  }

  /** Show `items`; the picture at the top of the window stays where it is if `stay` says so. */
  show(items, { isWhole, stay = false }) {
    const anchor = stay ? this.anchor() : null;
    const before = this.items;
    const activeId = before[this.active]?.id;
    const hasFocus = this.node.contains(document.activeElement);
    this.items = [...items];
    this.isWhole = isWhole;
    this.active = Math.max(0, this.#indexOf(activeId));
    const isLonger = before.length > 0 && before.every((item, index) => item === items[index]);
    this.#layOut({ kept: isLonger ? this.rows.slice(0, -1) : [] });
    if (anchor) this.restore(anchor);
    this.draw();
    // Its row was taken out of the document and put back, which costs the focus.
    if (hasFocus) this.#linkAt(this.active)?.focus({ preventScroll: true });
  }

  /** The first picture in sight, and how far below the window's top it begins. */
  anchor() {
    const top = this.node.getBoundingClientRect().top;
    if (!this.rows.length || top > 0) return null;
    const row = this.rows[rowAt(this.rows, -top)];
    return { id: this.items[row.first].id, y: top + row.top };
  }

  /** Scroll so that the picture of `anchor` is where it was. */
  restore({ id, y }) {
    const index = this.#indexOf(id);
    if (index < 0) return;
    const row = this.rows[rowOfItem(this.rows, index)];
    const top = this.node.getBoundingClientRect().top;
    window.scrollBy({ top: top + row.top - y, behavior: "instant" });
  }

  /** Put the focus on the picture `id`, scrolled into sight. */
  focus(id) {
    const index = this.#indexOf(id);
    if (index >= 0) this.#go(index);
  }

  /** Mark the picture `id` as one that has just come. */
  welcome(id) {
    const node = this.tiles.get(id)?.node;
    node?.classList.add("fresh");
    node?.addEventListener("animationend", () => node.classList.remove("fresh"), { once: true });
  }

  /** Put the rows in sight into the document, and take the others out. */
  draw() {
    const top = -this.node.getBoundingClientRect().top;
    const height = window.innerHeight;
    const wanted = this.#wanted(top - MARGIN_PX, top + height + MARGIN_PX);
    for (const [index, node] of this.shown) {
      if (wanted.has(index)) continue;
      node.remove();
      this.shown.delete(index);
    }
    const isFast = Math.abs(top - this.lastY) > FAST_PX;
    this.lastY = top;
    for (const index of wanted) this.#drawRow(index, !isFast);
    this.#sweep();
    if (isFast) this.#settle();
    const isNear = top + 3 * height > (this.rows.at(-1)?.top ?? 0);
    if (isNear && !this.isWhole) this.told.onNear();
  }

  #listen() {
    const soon = () => {
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    new ResizeObserver(() => this.#resized()).observe(this.node.parentElement);
    this.node.addEventListener("click", (event) => this.#clicked(event));
    this.node.addEventListener("keydown", (event) => this.#pressed(event));
    this.node.addEventListener("focusin", (event) => {
      const index = this.#indexOf(event.target.dataset.id);
      if (index >= 0) this.#activate(index);
    });
    this.node.addEventListener("error", (event) => this.#failed(event), true);
  }

  #resized() {
    if (this.node.parentElement.clientWidth === this.width) return;
    const anchor = this.anchor();
    this.#layOut();
    if (anchor) this.restore(anchor);
    this.draw();
  }

  #layOut({ kept = [] } = {}) {
    this.width = this.node.parentElement.clientWidth;
    const isPhone = this.width < PHONE_PX;
    const target = isPhone ? this.width / 1.95 : Math.min(280, Math.max(200, this.width / 5));
    const gap = isPhone ? PHONE_GAP_PX : GAP_PX;
    this.rows = rowsOf(this.items, { width: this.width, target, gap }, kept);
    const last = this.rows.at(-1);
    this.node.hidden = !last;
    place(this.node, { height: last ? last.top + last.height : 0, "--gap": gap });
    this.node.setAttribute("aria-rowcount", this.isWhole ? String(this.rows.length) : "-1");
    for (const node of this.shown.values()) node.remove();
    this.shown.clear();
  }

  /** Indexes of the rows from `top` to `bottom`, and of the one that has the focus. */
  #wanted(top, bottom) {
    const wanted = new Set();
    if (!this.rows.length) return wanted;
    for (let index = rowAt(this.rows, top); index < this.rows.length; index += 1) {
      if (this.rows[index].top > bottom) break;
      wanted.add(index);
    }
    wanted.add(rowOfItem(this.rows, this.active));
    return wanted;
  }

  #drawRow(index, isCalm) {
    const row = this.rows[index];
    const node = this.shown.get(index) ?? this.#makeRow(index, row);
    if (isCalm) for (const { tile } of this.#tilesOf(row)) tile.load();
    return node;
  }

  #makeRow(index, row) {
    const node = element("div", { className: "row", role: "row", "aria-rowindex": index + 1 });
    place(node, { top: row.top, height: row.height });
    for (const { tile, width } of this.#tilesOf(row)) {
      tile.fit(width, row.height);
      node.append(tile.node);
    }
    this.shown.set(index, node);
    // In the order of the rows, which a screen reader reads.
    const later = [...this.shown.keys()].filter((other) => other > index);
    const next = later.length ? this.shown.get(Math.min(...later)) : null;
    this.node.insertBefore(node, next);
    return node;
  }

  #tilesOf(row) {
    return row.widths.map((width, offset) => {
      const item = this.items[row.first + offset];
      return { tile: this.tiles.get(item.id) ?? this.#makeTile(item), width };
    });
  }

  #makeTile(item) {
    const tile = new Tile(item);
    this.tiles.set(item.id, tile);
    tile.link.tabIndex = item === this.items[this.active] ? 0 : -1;
    if (item.picture) tile.name(item.picture);
    else this.told.onDetail(item).then((picture) => picture && tile.name(picture), () => {});
    return tile;
  }

  /** Forget the tiles that are in no row. */
  #sweep() {
    for (const [id, tile] of this.tiles) {
      if (tile.node.isConnected) continue;
      tile.release();
      this.tiles.delete(id);
    }
  }

  #settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.draw(), SETTLED_MS);
  }

  #indexOf(id) {
    return id === undefined ? -1 : this.items.findIndex((item) => item.id === id);
  }

  #activate(index) {
    const before = this.#linkAt(this.active);
    if (before) before.tabIndex = -1;
    this.active = index;
    const after = this.#linkAt(index);
    if (after) after.tabIndex = 0;
  }

  #linkAt(index) {
    return this.tiles.get(this.items[index]?.id)?.link;
  }

  #go(index) {
    this.#activate(Math.min(Math.max(0, index), this.items.length - 1));
    this.draw();
    const link = this.#linkAt(this.active);
    link.focus({ preventScroll: true });
    link.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  #clicked(event) {
    const link = event.target.closest("a[data-id]");
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !isPlain) return;
    event.preventDefault();
    this.told.onOpen(this.#indexOf(link.dataset.id));
  }

  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.#target(event.key);
    if (index === null) return;
    event.preventDefault();
    this.#go(index);
  }

  #target(key) {
    const moves = {
      ArrowLeft: () => this.active - 1,
      ArrowRight: () => this.active + 1,
      ArrowUp: () => this.#beside(-1),
      ArrowDown: () => this.#beside(1),
      Home: () => 0,
      End: () => this.items.length - 1,
    };
    return moves[key]?.() ?? null;
  }

  /** The picture above or below the active one. */
  #beside(step) {
    const at = rowOfItem(this.rows, this.active);
    const row = this.rows[at + step];
    if (!row) return this.active;
    const here = this.rows[at];
    const before = here.widths.slice(0, this.active - here.first);
    const middle = sum(before) + here.widths[this.active - here.first] / 2;
    let [offset, right] = [0, row.widths[0]];
    while (right < middle && offset < row.count - 1) right += row.widths[(offset += 1)];
    return row.first + offset;
  }

  async #failed({ target }) {
    const id = target.closest?.("a[data-id]")?.dataset.id;
    if (!id) return;
    // Deleted, by hand perhaps; or the server is away, and it is still there.
    const answer = await fetch(target.src, { method: "HEAD" }).catch(() => null);
    if (answer?.status === 404) this.told.onGone(id);
    else target.removeAttribute("src");
  }
}

function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}
