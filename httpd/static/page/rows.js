/**
 * Pictures in justified rows: each as wide as the page, all pictures of one row as high as each
 * other, none cut.
 */

const FLATTEST = 3;
const TALLEST = 0.4;

/**
 * @typedef {object} Row
 * @property {number} first Index of its first picture.
 * @property {number} count
 * @property {number} top
 * @property {number} height
 * @property {number[]} widths
 */

/**
 * The rows of `items`, in pixels. Rows of an earlier call that cannot have changed, since pictures
 * came behind them alone, are taken over.
 * @param {{ratio: number}[]} items `ratio` is width to height.
 * @param {{width: number, target: number, gap: number}} page `target` is the wished height.
 * @param {Row[]} [kept]
 * @returns {Row[]}
 */
export function rowsOf(items, { width, target, gap }, kept = []) {
  const rows = [...kept];
  const last = rows.at(-1);
  let first = last ? last.first + last.count : 0;
  let top = last ? last.top + last.height + gap : 0;
  let sum = 0;
  for (let index = first; index < items.length; index += 1) {
    const ratio = clamped(items[index].ratio);
    const gaps = gap * (index - first);
    const height = (width - gaps) / (sum + ratio);
    const without = sum ? (width - gaps + gap) / sum : Infinity;
    sum += ratio;
    if (height > target) continue;
    // With this picture the row is too low, without it too high: the smaller fault is taken.
    const isBetterWithout = without / target < target / height;
    const end = isBetterWithout ? index : index + 1;
    rows.push(rowOf(items.slice(first, end), first, top, isBetterWithout ? without : height));
    top += rows.at(-1).height + gap;
    [first, sum] = [end, isBetterWithout ? ratio : 0];
  }
  if (first < items.length) {
    // The last row is not full; it is as high as the one above it, and at most the wished height.
    const height = Math.min(rows.at(-1)?.height ?? target, target);
    rows.push(rowOf(items.slice(first), first, top, height));
  }
  return rows;
}

/** Index of the row at `y`: the first that ends below it. */
export function rowAt(rows, y) {
  let [low, high] = [0, Math.max(0, rows.length - 1)];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height > y) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Index of the row that holds the picture `index`. */
export function rowOfItem(rows, index) {
  let [low, high] = [0, Math.max(0, rows.length - 1)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].first <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** @returns {Row} */
function rowOf(items, first, top, height) {
  const widths = items.map((item) => clamped(item.ratio) * height);
  return { first, count: items.length, top, height, widths };
}

function clamped(ratio) {
  return Math.min(FLATTEST, Math.max(TALLEST, ratio));
}
