/** Logging in with a token, where the server wants one, and out again. */

import { Refusal, link, post, remove } from "./api.js";
import { byId } from "./elements.js";
import { keep, recall } from "./memory.js";
import { say } from "./words.js";

const SESSION = "/api/session";

/** Whether this browser has logged in; requests made elsewhere need the token then. */
export function hasSession() {
  return recall("session", false);
}

/** Ask for a token whenever the server does. */
export function watchSession() {
  link.addEventListener("login", showLogin);
  byId("login").addEventListener("cancel", (event) => event.preventDefault());
  byId("login-form").addEventListener("submit", logIn);
  byId("log-out").hidden = !hasSession();
  byId("log-out").addEventListener("click", logOut);
}

function showLogin() {
  const dialog = byId("login");
  if (!dialog.open) dialog.showModal();
}

async function logIn(event) {
  event.preventDefault();
  const field = byId("token");
  try {
    await post(SESSION, { token: field.value });
  } catch (error) {
    byId("login-fault").textContent = error instanceof Refusal ? say("wrongToken") : say("offline");
    field.setAttribute("aria-invalid", "true");
    field.select();
    return;
  }
  keep("session", true);
  location.reload();
}

async function logOut() {
  await remove(SESSION).catch(() => {});
  keep("session", false);
  location.reload();
}
