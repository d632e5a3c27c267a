/** Whether jobs are rendered now, said in one line, and in a sentence when they are not. */

import { Refusal, ask, link, read } from "./api.js";
import { byId, tell } from "./elements.js";
import { say } from "./words.js";

const LOOK_MS = 10000;
const RETRY_MS = 2500;
/** A slot that has not reported for so long does not count as alive; the server says the same. */
const SILENT_MS = 60000;

export class Health {
  /** @param {(info: any) => void} onInfo Told of each answer of /api/info. */
  constructor(onInfo) {
    this.onInfo = onInfo;
    this.timer = 0;
    this.#say("absent", say("connecting"), "");
    link.addEventListener("lost", () => this.#lost());
    link.addEventListener("back", () => this.look());
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Ask the server, now and then again and again while somebody looks. */
  async look() {
    clearTimeout(this.timer);
    if (document.hidden) return;
    this.#again(RETRY_MS);
    let answer, info;
    try {
      answer = await ask("GET", "/api/info");
      info = await read(answer);
    } catch (error) {
      if (error instanceof Refusal) this.#say("absent", say("serverNotReady"), error.message);
      return;
    }
    this.#again(LOOK_MS);
    this.#show(info, new Date(answer.headers.get("Date") ?? Date.now()));
    this.onInfo(info);
  }

  #again(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), milliseconds);
  }

  #lost() {
    this.#say("absent", say("serverAway"), say("serverAwayLong"));
    this.#again(RETRY_MS);
  }

  /** @param {Date} now By the server's clock, which the heartbeats follow. */
  #show({ slots, queue }, now) {
    const states = slots
      .filter((slot) => slot.state !== "stopped" && now - new Date(slot.heartbeat) < SILENT_MS)
      .map((slot) => slot.state);
    if (states.length === 0) {
      const why = slots.length ? "daemonAwayLong" : "daemonNever";
      this.#say("absent", say("daemonAway"), say(why));
    } else if (states.every((state) => state === "full")) {
      this.#say("absent", say("daemonFull"), say("daemonFullLong"));
    } else {
      this.#say(...working(states, queue));
    }
  }

  #say(lamp, line, sentence) {
    byId("health").dataset.lamp = lamp;
    const text = byId("health-text");
    if (text.textContent !== line) text.textContent = line;
    tell(byId("notice"), sentence);
  }
}

function working(states, { queued, processing }) {
  if (processing && queued) return ["busy", say("renderingWaiting", { count: queued }), ""];
  if (processing) return ["busy", say("rendering"), ""];
  if (states.every((state) => state === "starting")) return ["busy", say("daemonStarts"), ""];
  if (queued) return ["busy", say("waitingCount", { count: queued }), ""];
  return ["ready", say("ready"), ""];
}
