/** The files of a job: each by itself, or all in one archive. */

import { icon, make } from "./dom.js";
import { ask, download, saveBlob } from "./service.js";

const ORDER = ["rigged_character", "textured_mesh", "raw_mesh", "preview_images", "views", "figure", "report"];

const PREVIEWS = { preview_mesh: "mesh_generation", preview_texture: "texture_baking", preview_animation: "rigging" };

/** The stage that a preview is of; undefined of any other file. */
export const findStage = (file) => PREVIEWS[file.name.match(/^preview_[a-z]+/)?.[0]];

/** The words for a file. Several previews have one result's name. */
export const nameFile = (file) => `file.${[file.result, findStage(file)].filter(Boolean).join(".")}`;

/** A size in bytes as a person reads it. */
const readSize = (bytes) => (bytes == null ? "" : bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** A list of a job's files. */
export function showFiles(status) {
  const rank = (file) => (ORDER.indexOf(file.result) + ORDER.length + 1) % (ORDER.length + 1);
  const files = [...status.downloads].sort((a, b) => rank(a) - rank(b));
  const items = files.map((file) => make("li", {},
    make("button", { type: "button", class: file.result === "rigged_character" ? "file first" : "file", title: file.name, on: { click: () => download(file) } },
      icon("down"), make("span", { say: nameFile(file) }), make("span", { class: "soft" }, `${file.name.split(".").at(-1).toUpperCase()} ${readSize(file.size)}`))));
  const all = make("button", { type: "button", class: "button", say: "files.all", on: { click: (event) => saveAll(status, event.currentTarget) } });
  return make("section", { class: "files" }, make("h2", { say: "files.title" }), make("ul", {}, items), all);
}

/** Put all files into one archive, and save it. The files are packed already: they are only stored. */
async function saveAll(status, button) {
  button.disabled = true;
  try {
    const { zipSync } = await import("./vendor/three/examples/jsm/libs/fflate.module.js");
    const entries = await Promise.all(status.downloads.map(async (file) => [file.name, [new Uint8Array(await (await ask(file.url)).arrayBuffer()), { level: 0 }]]));
    saveBlob(new Blob([zipSync(Object.fromEntries(entries))], { type: "application/zip" }), `character_${status.job_id.slice(0, 8)}.zip`);
  } finally {
    button.disabled = false;
  }
}
