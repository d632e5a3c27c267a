/** The jobs that wait and run, and those that have failed while the reader watched. */

import { announce } from "./announcer.js";
import { Refusal, get, isAnswer, link, remove } from "./api.js";
import { Follow } from "./follow.js";
import { QueueView } from "./queue.js";
import { onceReleased } from "./stillness.js";
import { say } from "./words.js";

const LISTED = 30;
const BUSY_MS = 2000;
const IDLE_MS = 10000;
const FINAL = new Set(["completed", "failed", "cancelled"]);

export class Jobs {
  /** @param {() => void} onCompleted Told of each job that is seen to have its pictures. */
  constructor(onCompleted) {
    this.onCompleted = onCompleted;
    this.jobs = new Map();
    this.live = new Map();
    this.followed = null;
    this.follow = null;
    this.timer = 0;
    this.isAsking = false;
    this.draw = () => this.view.show([...this.jobs.values()], this.live);
    this.view = new QueueView({
      onCancel: (id) => this.#cancel(id),
      onDismiss: (id) => this.#forget(id),
    });
    document.addEventListener("visibilitychange", () => this.refresh());
    link.addEventListener("back", () => this.refresh());
  }

  /** Look at the queue soon. */
  refresh() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), 50);
  }

  /** A job of ours that was just accepted. */
  add({ job_id, status, queue_position }, request) {
    this.jobs.set(job_id, { job_id, status, queue_position, request, job: null, step: 0 });
    this.#show();
    this.refresh();
  }

  async #look() {
    clearTimeout(this.timer);
    if (document.hidden || this.isAsking) return;
    this.isAsking = true;
    try {
      await this.#update((await get(`/api/jobs?limit=${LISTED}`)).jobs);
    } catch (error) {
      // The line of health says that the server is away; this looks again.
      if (!isAnswer(error)) throw error;
    } finally {
      this.isAsking = false;
    }
    const isBusy = [...this.jobs.values()].some((job) => !FINAL.has(job.status));
    this.timer = setTimeout(() => this.#look(), isBusy ? BUSY_MS : IDLE_MS);
  }

  async #update(listed) {
    const before = this.jobs;
    this.jobs = new Map();
    for (const job of listed) {
      if (!FINAL.has(job.status)) this.jobs.set(job.job_id, job);
    }
    const unfinished = this.jobs.size;
    for (const [id, job] of before) {
      if (this.jobs.has(id)) continue;
      if (FINAL.has(job.status)) this.jobs.set(id, job);
      // A long queue is listed in part; what is missing from it may still wait.
      else if (unfinished < LISTED) await this.#ended(id, listed);
    }
    this.#choose();
    this.#show();
  }

  /** What became of a job that is unfinished no more. */
  async #ended(id, listed) {
    this.live.delete(id);
    const job = listed.find((one) => one.job_id === id) ?? (await this.#asked(id));
    if (!job) return;
    const prompt = job.request.prompt;
    if (job.status === "failed") {
      this.jobs.set(id, job);
      announce(say("jobFailed", { prompt }));
    } else if (job.status === "completed") {
      announce(say("jobFinished", { prompt }));
      this.onCompleted();
    } else if (!FINAL.has(job.status)) {
      this.jobs.set(id, job);
    }
  }

  async #asked(id) {
    try {
      return await get(`/api/jobs/${id}`);
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
  }

  /** Follow the job that runs, or the one that will next. One stream a window: they are few. */
  #choose() {
    const jobs = [...this.jobs.values()];
    const next =
      jobs.find((job) => job.job_id === this.followed && job.status === "processing") ??
      jobs.find((job) => job.status === "processing") ??
      jobs.find((job) => job.status === "queued");
    const id = next?.job_id ?? null;
    if (id === this.followed) return;
    this.followed = id;
    this.follow?.stop();
    this.follow = id && new Follow(`/api/sse/${id}`, { onData: (data) => this.#heard(id, data) });
  }

  #heard(id, event) {
    const known = this.jobs.get(id);
    if (!known) return true;
    if (FINAL.has(event.status)) {
      this.refresh();
      return true;
    }
    if (event.status !== known.status) this.refresh();
    const { preview, ...progress } = event;
    if (preview) this.live.set(id, preview);
    this.jobs.set(id, { ...known, ...progress });
    this.#show();
    return false;
  }

  async #cancel(id) {
    try {
      await remove(`/api/jobs/${id}`);
      announce(say("jobCancelled"));
    } catch (error) {
      // One that is finished already needs no cancelling.
      if (error.status !== 409) {
        announce(say("cancelFailed", { reason: error.message }));
        this.view.stillRuns(id);
      }
    }
    this.refresh();
  }

  #forget(id) {
    this.jobs.delete(id);
    this.#show();
  }

  #show() {
    onceReleased(this.draw);
  }
}
