/**
 * Asking the server. Tells of the connection by events on `link`: "lost" when the server does not
 * answer, "back" when it does again, "login" when it wants a token.
 */

const HEAD_MS = 20000;
/** A page of the gallery may be megabytes, and the network slow. */
const BODY_MS = 120000;
const GATEWAY_FAULTS = new Set([502, 504]);

export const link = new EventTarget();
let isLost = false;

/** The server answered, and said no. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{detail?: string, errors?: {detail: string, pointer?: string}[]}} problem RFC 9457
   * @param {number | null} retrySeconds When to try again, as the server says
   */
  constructor(status, problem, retrySeconds) {
    super(problem.detail ?? `HTTP ${status}`);
    this.status = status;
    this.errors = problem.errors ?? [];
    this.retrySeconds = retrySeconds;
  }
}

/** The server did not answer. */
export class Unreachable extends Error {}

/** Whether `error` is the server's, and no fault of the page. */
export function isAnswer(error) {
  return error instanceof Refusal || error instanceof Unreachable;
}

/** The JSON at `path`. Throws Refusal or Unreachable. */
export async function get(path) {
  return read(await ask("GET", path));
}

/** Send `body` as JSON; the JSON of the answer, null if it has none. */
export async function post(path, body, headers = {}) {
  const answer = await ask("POST", path, JSON.stringify(body), {
    "Content-Type": "application/json",
    ...headers,
  });
  return answer.status === 204 ? null : read(answer);
}

/** Remove what is at `path`. */
export async function remove(path) {
  await ask("DELETE", path);
}

/** The answer to a request, its body unread. */
export async function ask(method, path, body, headers) {
  const answer = await send(method, path, body, headers);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) link.dispatchEvent(new Event("login"));
  const retry = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  throw new Refusal(answer.status, problem, Number.isNaN(retry) ? null : retry);
}

/** The JSON of an answer. Throws Unreachable if it broke off, or came from somebody else. */
export async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    noteLost();
    throw new Unreachable(String(error));
  }
}

/** Say that the server did not answer somebody, such as an event stream. */
export function noteLost() {
  if (!isLost) link.dispatchEvent(new Event("lost"));
  isLost = true;
}

async function send(method, path, body, headers) {
  const patience = new AbortController();
  const { signal } = patience;
  let timer = setTimeout(() => patience.abort(), HEAD_MS);
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, signal, cache: "no-cache" });
  } catch (error) {
    noteLost();
    throw new Unreachable(String(error));
  } finally {
    clearTimeout(timer);
  }
  timer = setTimeout(() => patience.abort(), BODY_MS);
  if (GATEWAY_FAULTS.has(answer.status)) {
    noteLost();
    throw new Unreachable(`HTTP ${answer.status}`);
  }
  if (isLost) {
    isLost = false;
    link.dispatchEvent(new Event("back"));
  }
  return answer;
}
