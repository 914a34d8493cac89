/** What was read in a picture, drawn on it; its points can be dragged, or moved with the arrow keys. */

import { announce, make } from "./dom.js";
import { say, tell } from "./words.js";

const LIMBS = [
  ["crown", "head"], ["head", "neck"], ["neck", "pelvis"],
  ...["left", "right"].flatMap((side) => [
    ["neck", `${side}_shoulder`], [`${side}_shoulder`, `${side}_elbow`], [`${side}_elbow`, `${side}_wrist`],
    [`${side}_wrist`, `${side}_hand`], ["pelvis", `${side}_hip`], [`${side}_hip`, `${side}_knee`],
    [`${side}_knee`, `${side}_ankle`], [`${side}_ankle`, `${side}_toe`],
  ]),
];
const STEP = 0.01;
const DOUBTFUL = 0.5;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A picture of `check.width` by `check.height` pixels under its landmarks. `changed` is called after a move. */
export class Landmarks {
  constructor(source, check, changed) {
    this.check = check;
    this.changed = changed;
    this.points = new Map(Object.entries(check.landmarks).map(([name, point]) => [name, { ...point }]));
    this.moved = new Set();
    this.side = Math.max(check.width, check.height);
    this.lines = LIMBS.map((ends) => [ends, make("line", { class: sideOf(ends[1]) })]);
    this.marks = new Map([...this.points.keys()].map((name, number) => [name, this.makeMark(name, number === 0)]));
    this.svg = make("svg", { class: "landmarks", viewBox: `0 0 ${check.width} ${check.height}`, role: "group", says: { "aria-label": "landmarks.title" } },
      this.lines.map(([, line]) => line), [...this.marks.values()]);
    this.element = make("div", { class: "checked" }, make("img", { src: source, says: { alt: "pictures.front" } }), this.svg);
    this.draw();
  }

  /** The moved landmarks as the form's `corrections`, in pixels of the picture; empty if there are none. */
  corrections() {
    if (!this.moved.size) return "";
    const places = [...this.moved].map((name) => [name, [this.points.get(name).x, this.points.get(name).y].map((value) => Math.round(value * 10) / 10)]);
    return JSON.stringify({ unit: "pixels", ...Object.fromEntries(places) });
  }

  /** Put every point back to where it was read. */
  reset() {
    for (const name of this.moved) Object.assign(this.points.get(name), this.check.landmarks[name]);
    this.moved.clear();
    this.draw();
    this.changed();
  }

  makeMark(name, isFirst) {
    const mark = make("g", { class: `mark ${sideOf(name)}`, role: "button", tabindex: isFirst ? "0" : "-1", data: { name } },
      make("circle", { class: "reach", r: this.side * 0.028 }), make("circle", { class: "dot", r: this.side * 0.0095 }));
    mark.addEventListener("pointerdown", (event) => this.drag(event, name));
    mark.addEventListener("keydown", (event) => this.press(event, name));
    return mark;
  }

  draw() {
    for (const [[from, to], line] of this.lines) {
      const [a, b] = [this.points.get(from), this.points.get(to)];
      for (const [attribute, value] of Object.entries({ x1: a.x, y1: a.y, x2: b.x, y2: b.y })) line.setAttribute(attribute, value);
    }
    for (const [name, mark] of this.marks) {
      const point = this.points.get(name);
      mark.setAttribute("transform", `translate(${point.x} ${point.y})`);
      mark.classList.toggle("doubtful", point.confidence < DOUBTFUL && !this.moved.has(name));
      mark.classList.toggle("moved", this.moved.has(name));
      tell(mark, "aria-label", "landmarks.point", { name: say(`landmark.${name}`), x: Math.round(point.x), y: Math.round(point.y) });
    }
  }

  place(name, x, y) {
    const point = this.points.get(name);
    point.x = Math.min(this.check.width, Math.max(0, x));
    point.y = Math.min(this.check.height, Math.max(0, y));
    this.moved.add(name);
    this.draw();
  }

  drag(event, name) {
    const mark = this.marks.get(name);
    event.preventDefault();
    this.focus(name);
    mark.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const place = new DOMPoint(moved.clientX, moved.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
      this.place(name, place.x, place.y);
    };
    const end = () => {
      mark.removeEventListener("pointermove", move);
      this.changed();
    };
    mark.addEventListener("pointermove", move);
    mark.addEventListener("lostpointercapture", end, { once: true });
  }

  press(event, name) {
    const names = [...this.marks.keys()];
    const turn = { PageDown: 1, PageUp: -1 }[event.key];
    if (turn) this.focus(names[(names.indexOf(name) + turn + names.length) % names.length]);
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = this.side * STEP * (event.shiftKey ? 0.2 : 1);
      const point = this.points.get(name);
      this.place(name, point.x + arrow[0] * step, point.y + arrow[1] * step);
      announce("landmarks.point", { name: say(`landmark.${name}`), x: Math.round(point.x), y: Math.round(point.y) });
      this.changed();
    }
    if (turn || arrow) event.preventDefault();
  }

  focus(name) {
    for (const mark of this.marks.values()) mark.setAttribute("tabindex", "-1");
    this.marks.get(name).setAttribute("tabindex", "0");
    this.marks.get(name).focus();
  }
}

const sideOf = (name) => (name.startsWith("left") ? "left" : name.startsWith("right") ? "right" : "middle");
