/** Making elements. Whatever is told as a child is text, never markup. */

/**
 * An element with properties, listeners (`onclick`, …), attributes and children.
 * @param {string} tag
 * @param {Record<string, any>} [settings] A null one is left out.
 * @param {...(Node | string | null | undefined)} children
 * @returns {any}
 */
export function element(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || !(name in node)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  return document.getElementById(id);
}

/** Lengths in pixels as style properties, which a strict policy allows and style="" not. */
export function place(node, lengths) {
  for (const [name, px] of Object.entries(lengths)) node.style.setProperty(name, `${px}px`);
}

/** Show `text` in `node`, or hide it where there is none. */
export function tell(node, text) {
  const content = text ?? "";
  // A live region that is written anew is read out anew.
  if (node.textContent !== content) node.textContent = content;
  node.hidden = content === "";
}
