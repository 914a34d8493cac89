/** The pictures of a new character: dropped, pasted or chosen, one for each side. */

import { fill, icon, make } from "./dom.js";
import { locate } from "./service.js";

export const FRONT = "image";
const SIDES = ["image_left", "image_right", "image_back", "image_top"];
const MOST_BYTES = 10 * 2 ** 20;
const MOST_SIDE = 4096;
const NAMES = { image: /front|正/, image_left: /left|左/, image_right: /right|右/, image_back: /back|rear|背|后/, image_top: /top|上|顶/ };

/** A file as the service takes it: PNG or JPEG of at most 10 MB. The browser reads what it can of other formats. */
export async function preparePicture(file) {
  const isTaken = ["image/png", "image/jpeg"].includes(file.type) && file.size <= MOST_BYTES;
  if (isTaken) return file;
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const png = await toBlob(canvas, "image/png");
  return png.size <= MOST_BYTES ? png : toBlob(canvas, "image/jpeg", 0.92);
}

const toBlob = (canvas, type, quality) => new Promise((done) => canvas.toBlob(done, type, quality));

/** The slot that a file's name speaks of, if it is free. */
function guessSlot(name, taken) {
  const meant = Object.keys(NAMES).find((slot) => NAMES[slot].test(name.toLowerCase()));
  if (meant && !taken.has(meant)) return meant;
  return [FRONT, ...SIDES].find((slot) => !taken.has(slot));
}

/** The part of the page that takes pictures. `changed` is called with the front's file, or null, when it changes. */
export class Pictures {
  constructor(changed, failed) {
    this.files = new Map();
    this.isSheet = false;
    this.changed = changed;
    this.failed = failed;
    this.slots = new Map();
    this.stage = make("div", { class: "front" });
    this.element = make("section", { class: "pictures", says: { "aria-label": "pictures.title" } }, this.stage, this.makeSides());
    this.showFront();
    this.listen();
  }

  /** The form's parts: name and file of each picture. */
  parts() {
    return [...this.files].map(([slot, file]) => [slot === FRONT && this.isSheet ? "image_sheet" : slot, file]);
  }

  /** Take files: the front first, unless their names say otherwise. */
  async add(files, slot) {
    for (const file of [...files].slice(0, 5)) {
      try {
        this.put(slot ?? guessSlot(file.name ?? "", this.files), await preparePicture(file));
      } catch {
        this.failed("pictures.unread", { name: file.name });
      }
    }
  }

  put(slot, file) {
    if (!slot) return;
    if (file) this.files.set(slot, file);
    else this.files.delete(slot);
    if (slot !== FRONT) return this.showSide(slot);
    this.showFront();
    this.changed(file);
  }

  /** Put an element, such as the picture with its landmarks, in place of the empty front. */
  showFront(content) {
    const file = this.files.get(FRONT);
    this.element.classList.toggle("filled", Boolean(file));
    if (!file) return fill(this.stage, this.makeDropZone());
    return fill(this.stage, content ?? make("img", { src: URL.createObjectURL(file), says: { alt: "pictures.front" } }), this.makeRemove(FRONT));
  }

  makeDropZone() {
    const input = this.makeInput(FRONT, true);
    return [
      make("label", { class: "drop" }, input, icon("picture"), make("strong", { say: "pictures.drop" }),
        make("span", { class: "soft", say: "pictures.drop_hint" }), make("span", { class: "button", say: "pictures.choose" })),
      make("button", { type: "button", class: "link example", say: "pictures.example", on: { click: () => this.useExample() } }),
    ];
  }

  makeInput(slot, multiple) {
    return make("input", { type: "file", class: "unseen", accept: "image/*", multiple, data: { slot },
      says: { "aria-label": `pictures.${slot}` },
      on: { change: (event) => this.add(event.target.files, multiple && event.target.files.length > 1 ? undefined : slot) } });
  }

  async useExample() {
    const answer = await fetch(locate("character/studio/examples/elf.png"));
    this.put(FRONT, new File([await answer.blob()], "elf.png", { type: "image/png" }));
  }

  makeSides() {
    const sheet = make("input", { type: "checkbox", on: { change: (event) => this.setSheet(event.target.checked) } });
    const row = make("div", { class: "sides" }, SIDES.map((slot) => {
      const box = make("div", { class: "side" });
      this.slots.set(slot, box);
      this.showSide(slot);
      return box;
    }));
    return make("div", { class: "further" }, make("h2", { say: "pictures.further" }),
      make("p", { class: "soft", say: "pictures.further_hint" }), row,
      make("label", { class: "switch" }, sheet, make("span", { say: "pictures.sheet" })));
  }

  setSheet(isSheet) {
    this.isSheet = isSheet;
    this.changed(this.files.get(FRONT) ?? null);
  }

  showSide(slot) {
    const file = this.files.get(slot);
    const name = make("span", { say: `pictures.${slot}` });
    const picture = file ? make("img", { src: URL.createObjectURL(file), alt: "" }) : icon("plus");
    fill(this.slots.get(slot), make("label", { class: file ? "taken" : "" }, this.makeInput(slot), picture, name), file && this.makeRemove(slot));
  }

  makeRemove(slot) {
    return make("button", { type: "button", class: "remove", says: { "aria-label": "pictures.remove" }, on: { click: () => this.put(slot, null) } }, icon("close"));
  }

  listen() {
    const over = (isOver) => (event) => {
      event.preventDefault();
      this.element.classList.toggle("over", isOver);
    };
    this.element.addEventListener("dragover", over(true));
    this.element.addEventListener("dragleave", over(false));
    this.element.addEventListener("drop", (event) => {
      over(false)(event);
      const slot = [...this.slots].find(([, box]) => box.contains(event.target))?.[0];
      this.add(event.dataTransfer.files, slot);
    });
    document.addEventListener("paste", (event) => {
      if (this.element.isConnected && event.clipboardData.files.length) this.add(event.clipboardData.files);
    });
  }
}
