/** The studio: one page, whose address after # says what is shown. */

import { make } from "./dom.js";
import { askJson, onKeyNeeded, storedKey, storeKey } from "./service.js";
import { adoptPage, currentLanguage, LANGUAGES, preferredLanguage, useLanguage } from "./words.js";

const main = document.getElementById("main");
const RUNNING = "c3d.job";
let page = null;

const PAGES = [
  [/^#\/job\/([\w-]+)$/, async (id) => (await import("./job.js")).showJob(main, id, openJob)],
  [/^#\/characters$/, async () => (await import("./gallery.js")).showGallery(main)],
  [/^/, async () => (await import("./create.js")).showCreate(main, openJob)],
];

function openJob(id) {
  localStorage.setItem(RUNNING, id);
  location.hash = `#/job/${id}`;
}

async function showPage(isFirst) {
  page?.leave?.();
  const [pattern, show] = PAGES.find(([pattern]) => pattern.test(location.hash));
  const isList = location.hash === "#/characters";
  for (const link of document.querySelectorAll("#nav a")) {
    const isHere = (link.dataset.page === "characters") === isList && !location.hash.startsWith("#/job");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  page = await show(...(location.hash.match(pattern)?.slice(1) ?? []));
  if (isFirst) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

/** Offer the job that was running when the page was left. */
async function resume() {
  const id = localStorage.getItem(RUNNING);
  if (!id || location.hash.length > 2) return;
  const status = await askJson(`job/${id}/status`).catch(() => null);
  if (status?.status === "processing") location.hash = `#/job/${id}`;
  else localStorage.removeItem(RUNNING);
}

function askForKey() {
  document.getElementById("key").hidden = false;
  return new Promise((done) => {
    const input = make("input", { type: "password", autocomplete: "off", id: "key-input", value: storedKey() ?? "" });
    const dialog = make("dialog", { says: { "aria-label": "key.title" } }, make("form", { method: "dialog" },
      make("h2", { say: "key.title" }), make("p", { class: "soft", say: "key.hint" }),
      make("label", { htmlFor: "key-input", say: "key.label" }), input,
      make("div", { class: "row" }, make("button", { value: "no", class: "button", say: "no", type: "button", on: { click: () => dialog.close("no") } }),
        make("button", { value: "yes", class: "primary", say: "key.use" }))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      const key = dialog.returnValue === "yes" ? input.value.trim() : null;
      if (key) storeKey(key);
      done(key);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let asking = null;
/** One dialog at a time, however many requests wait for it. */
function askOnce() {
  asking ??= askForKey().finally(() => { asking = null; });
  return asking;
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function listen() {
  const language = document.getElementById("language");
  const other = () => Object.keys(LANGUAGES).find((code) => code !== currentLanguage());
  const label = () => {
    language.textContent = LANGUAGES[other()];
    language.lang = other();
  };
  label();
  language.addEventListener("click", async () => {
    localStorage.setItem("c3d.language", other());
    await useLanguage(other());
    label();
  });
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark";
    localStorage.setItem("c3d.theme", isDark ? "light" : "dark");
    setTheme(localStorage.getItem("c3d.theme"));
  });
  const key = document.getElementById("key");
  key.hidden = !storedKey();
  key.addEventListener("click", askOnce);
  addEventListener("hashchange", () => showPage(false));
}

async function begin() {
  setTheme(localStorage.getItem("c3d.theme"));
  onKeyNeeded(askOnce);
  adoptPage();
  await useLanguage(preferredLanguage());
  listen();
  await resume();
  await showPage(true);
}

begin();
