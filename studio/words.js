/** The words of the page in the chosen language. Every text comes from words/*.json. */

export const LANGUAGES = { en: "English", zh: "中文 ZH" };

const told = new WeakMap();
let words = {};
let language = "en";

/** The language that is shown. */
export const currentLanguage = () => language;

/** The language that was chosen last, else the browser's, else English. */
export function preferredLanguage() {
  const wanted = [localStorage.getItem("c3d.language"), ...navigator.languages];
  return wanted.map((code) => code?.slice(0, 2)).find((code) => code in LANGUAGES) ?? "en";
}

/** Load the words of a language and say everything on the page in it. */
export async function useLanguage(code) {
  const answer = await fetch(new URL(`./words/${code}.json`, import.meta.url));
  words = await answer.json();
  language = code;
  document.documentElement.lang = code === "zh" ? "zh-Hans" : code;
  for (const node of document.querySelectorAll("[data-said]")) {
    for (const [attribute, [key, values]] of told.get(node) ?? []) put(node, attribute, say(key, values));
  }
  document.title = say("title");
}

/** A text by its key; {name} in it is replaced by the value of that name. Unknown keys say their last part. */
export function say(key, values = {}) {
  const text = words[key] ?? key.split(".").at(-1).replaceAll("_", " ");
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there are words for a key. */
export const knows = (key) => key in words;

/** Say a text in an element, or in one of its attributes, now and after every change of the language. */
export function tell(node, attribute, key, values) {
  if (!told.has(node)) told.set(node, new Map());
  told.get(node).set(attribute, [key, values]);
  node.dataset.said = "";
  put(node, attribute, say(key, values));
}

/** Take over what the page's own HTML says, which has English words until the scripts are here. */
export function adoptPage() {
  for (const node of document.querySelectorAll("[data-say]")) tell(node, "", node.dataset.say);
  for (const node of document.querySelectorAll("[data-say-label]")) tell(node, "aria-label", node.dataset.sayLabel);
}

function put(node, attribute, text) {
  if (attribute) node.setAttribute(attribute, text);
  else node.textContent = text;
}
