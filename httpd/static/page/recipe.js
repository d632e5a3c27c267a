/** A picture's settings, as a request that would make it again. */

import { hasSession } from "./session.js";

const ASKED = [
  "model",
  "prompt",
  "negative_prompt",
  "width",
  "height",
  "seed",
  "steps",
  "guidance_scale",
  "sampler",
  "loras",
];

/** The request that makes the picture of this metadata. */
export function requestOf(metadata) {
  const isAsked = (value) => value !== null && value !== undefined && value?.length !== 0;
  return Object.fromEntries(
    ASKED.filter((name) => isAsked(metadata[name])).map((name) => [name, metadata[name]]),
  );
}

/** The request as people read it. */
export function jsonOf(metadata) {
  return JSON.stringify(requestOf(metadata), null, 2);
}

/** A command that posts the request to this server. */
export function curlOf(metadata) {
  const lines = [
    `curl -s ${location.origin}/api/generate`,
    ...(hasSession() ? ['-H "Authorization: Bearer $GENZO_TOKEN"'] : []),
    "-H 'Content-Type: application/json'",
    `-d ${quoted(JSON.stringify(requestOf(metadata)))}`,
  ];
  return lines.join(" \\\n  ");
}

/** Put `text` on the clipboard; whether the browser let us. */
export async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text, near);
  }
}

/** The way that works without TLS too, where there is no clipboard to write to. */
function copySelected(text, near) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  near.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

/** `text` as one word of a shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
