/**
 * An event stream that lasts: it comes back by itself, and pauses while nobody looks.
 *
 * A browser opens six connections to a server at most, over all its windows, so a hidden window
 * holds none. A stream that the server refuses, since too many are open, is asked for again when
 * the server says, or after a pause that grows; the page says so meanwhile.
 */

import { Refusal, ask, isAnswer, noteLost } from "./api.js";
import { byId, tell } from "./elements.js";
import { say } from "./words.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60000;
const TOO_MANY = new Set([429, 503]);

/** The streams of this window that find no place at the server. */
const refused = new Set();

export class Follow {
  /**
   * @param {string} path
   * @param {{onData: (data: any) => boolean | void, onOpen?: () => void, onRefused?: () => void}}
   * listeners `onData` says true when nothing more is to come; `onOpen` is told of each connection,
   * `onRefused` of each try that the server turned down.
   */
  constructor(path, { onData, onOpen, onRefused }) {
    this.path = path;
    this.onData = onData;
    this.onOpen = onOpen;
    this.onRefused = onRefused;
    this.source = null;
    this.timer = 0;
    this.pauseMs = FIRST_PAUSE_MS;
    this.onVisibility = () => (document.hidden ? this.#close() : this.#open());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.onVisibility();
  }

  /** Whether what happens is told at once. */
  get isLive() {
    return this.source?.readyState === EventSource.OPEN;
  }

  /** Listen no more. */
  stop() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.#close();
    this.#notePlace(true);
  }

  #open() {
    if (this.source) return;
    this.#close();
    const source = new EventSource(this.path);
    this.source = source;
    source.onopen = () => {
      this.pauseMs = FIRST_PAUSE_MS;
      this.#notePlace(true);
      this.onOpen?.();
    };
    source.onmessage = (event) => {
      if (this.onData(JSON.parse(event.data))) this.stop();
    };
    source.onerror = () => {
      // A lost connection comes back by itself; a stream that was refused does not.
      if (source.readyState === EventSource.CLOSED) this.#retry();
      else noteLost();
    };
  }

  async #retry() {
    this.#close();
    const timer = this.#openIn(this.pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
    this.onRefused?.();
    const refusal = await refusalOf(this.path);
    // The pause is over already, or nobody listens any more.
    if (this.timer !== timer) return;
    this.#notePlace(!TOO_MANY.has(refusal?.status));
    if (refusal?.retrySeconds) this.#openIn(refusal.retrySeconds * 1000);
  }

  #openIn(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onVisibility(), milliseconds);
    return this.timer;
  }

  #close() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.source?.close();
    this.source = null;
  }

  #notePlace(isThere) {
    if (isThere) refused.delete(this);
    else refused.add(this);
    tell(byId("pause"), refused.size ? say("livePaused") : "");
  }
}

/** Why the stream at `path` is refused, which an EventSource does not tell; null if it is not. */
async function refusalOf(path) {
  try {
    await ask("HEAD", path);
  } catch (error) {
    if (error instanceof Refusal) return error;
    if (!isAnswer(error)) throw error;
  }
  return null;
}
