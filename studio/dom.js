/** Elements, without a framework. */

import { tell } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "g", "circle", "line", "path", "image", "rect"]);

/**
 * Make an element.
 *
 * properties: `say` is a key of its words or [key, values]; `says` maps attributes to such; `on` maps events to
 * listeners; `data` and `class` as in HTML; a property of the element is set, any other is an attribute.
 */
export function make(tag, properties = {}, ...children) {
  const node = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(node, name, value);
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

function setProperty(node, name, value) {
  if (value == null) return;
  if (name === "say") tell(node, "", ...[value].flat());
  else if (name === "says") for (const [attribute, says] of Object.entries(value)) tell(node, attribute, ...[says].flat());
  else if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "class") node.setAttribute("class", value);
  else if (name in node && !(node instanceof SVGElement) && name !== "list") node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

/** Put children in place of an element's own. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

/** Say something to a person who does not see the page. */
export function announce(key, values) {
  tell(document.getElementById("said"), "", key, values);
}

/** An icon of the set below; it stands beside words, and says nothing by itself. */
export function icon(name) {
  const path = make("path", { d: ICONS[name], fill: "none", stroke: "currentColor", "stroke-width": "1.8" });
  path.setAttribute("stroke-linecap", "round");
  path.setAttribute("stroke-linejoin", "round");
  return make("svg", { class: "glyph", viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}

const ICONS = {
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 4v11m-5-5l5 5 5-5M5 20h14",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
  check: "M5 12.5l4.5 4.5L19 7.5",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13",
  warn: "M12 4l9 16H3zM12 10v4m0 3h.01",
  brush: "M20 4L10 14m-2 0c-2 0-3 1.5-3 3s-1 2-2 2c3 2 8 1 8-2 0-1.500-1.500-3-3-3z",
  undo: "M9 7L4 12l5 5M4 12h10a5 5 0 0 1 0 10",
  turn: "M4 12a8 8 0 0 1 14-5l2 2m0-5v5h-5M20 12a8 8 0 0 1-14 5l-2-2m0 5v-5h5",
};
