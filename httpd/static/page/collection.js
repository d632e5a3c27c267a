/**
 * The pictures of the gallery, the newest job's first, fetched page by page as they are reached.
 *
 * Of every picture its name and its shape are kept; what else is known of it is dropped when many
 * pages have been looked at since, and fetched again when it is asked for.
 */

import { get } from "./api.js";

const PAGE = 100;
const PAGES_KEPT = 30;

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {string} filename
 * @property {number} ratio Width to height.
 * @property {any} picture What /api/images says of it; null while that is dropped.
 * @property {Page | null} page Where to fetch it again; null for one that came by the stream.
 */

/** @typedef {{path: string, items: Item[], fetching: Promise<void> | null}} Page */

export class Collection {
  /** @param {string} query Words that the prompts contain; all pictures if empty. */
  constructor(query) {
    this.query = query;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<string, Item>} */
    this.known = new Map();
    this.total = null;
    this.next = pathOf(query);
    this.pages = new Set();
    this.fetching = null;
  }

  get isWhole() {
    return this.next === null;
  }

  /** Fetch the next page; how many pictures came. Throws Refusal or Unreachable. */
  more() {
    if (this.next === null) return Promise.resolve(0);
    this.fetching ??= this.#fetch(this.next).finally(() => {
      this.fetching = null;
    });
    return this.fetching;
  }

  /** Put pictures that are not known yet where they belong; those that were. */
  insert(pictures) {
    const fresh = pictures.filter(({ id }) => !this.known.has(id));
    const added = [];
    for (const picture of fresh) {
      const index = this.#placeOf(picture.id);
      // What lies behind the last page that was fetched comes with the next one.
      if (index === this.items.length && !this.isWhole) continue;
      const item = this.#note(picture, null);
      this.items.splice(index, 0, item);
      added.push(item);
    }
    if (this.total !== null) this.total += fresh.length;
    return added;
  }

  /** Forget a picture that is deleted. */
  remove(id) {
    if (!this.known.delete(id)) return;
    this.items = this.items.filter((item) => item.id !== id);
    if (this.total !== null) this.total -= 1;
  }

  /** The newest pictures that are not known yet, as far as one page tells. */
  async news() {
    const { images } = await get(pathOf(this.query));
    return images.filter(({ id }) => !this.known.has(id));
  }

  /** All that is known of `item`; null if it is not there any more. */
  async detail(item) {
    if (item.picture === null) await this.#refetch(item.page);
    return item.picture;
  }

  async #fetch(path) {
    const answer = await get(path);
    const page = { path, items: [], fetching: null };
    for (const picture of answer.images) {
      if (this.known.has(picture.id)) continue;
      page.items.push(this.#note(picture, page));
    }
    this.items.push(...page.items);
    this.total = answer.total ?? this.total;
    const cursor = answer.next_cursor;
    this.next = cursor === null ? null : pathOf(this.query, cursor);
    this.#use(page);
    return page.items.length;
  }

  #refetch(page) {
    page.fetching ??= this.#fill(page).finally(() => {
      page.fetching = null;
    });
    return page.fetching;
  }

  async #fill(page) {
    const { images } = await get(page.path);
    for (const picture of images) {
      const item = this.known.get(picture.id);
      if (item) item.picture = picture;
    }
    this.#use(page);
  }

  /** Remember the page as the last one used, and drop the details of the one used longest ago. */
  #use(page) {
    this.pages.delete(page);
    this.pages.add(page);
    if (this.pages.size <= PAGES_KEPT) return;
    const [oldest] = this.pages;
    this.pages.delete(oldest);
    for (const item of oldest.items) item.picture = null;
  }

  #note(picture, page) {
    const { id, filename, width, height } = picture;
    const item = { id, filename, ratio: width / height || 1, picture, page };
    this.known.set(id, item);
    return item;
  }

  #placeOf(id) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isNewer(id, this.items[middle].id)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Whether picture `one` stands before `other`: by its job, then by its number in it. */
export function isNewer(one, other) {
  const [job, index] = partsOf(one);
  const [otherJob, otherIndex] = partsOf(other);
  return job === otherJob ? index > otherIndex : job > otherJob;
}

function partsOf(id) {
  const cut = id.lastIndexOf("-");
  return [id.slice(0, cut), Number(id.slice(cut + 1))];
}

function pathOf(query, cursor = "") {
  const search = new URLSearchParams({ limit: String(PAGE) });
  if (cursor) search.set("cursor", cursor);
  if (query) search.set("q", query);
  return `/api/images?${search}`;
}
