/** How good a result is: the figures of its quality report, each beside its limit, and what to look at. */

import { fill, icon, make } from "./dom.js";
import { askJson } from "./service.js";
import { currentLanguage } from "./words.js";

const PERCENT = { style: "percent", maximumFractionDigits: 0 };
const FINE = { style: "percent", maximumFractionDigits: 1 };
const FACTOR = { maximumFractionDigits: 1 };
/** The figures that are shown, in their order, and how their numbers are written. */
const FIGURES = {
  "figure.confidence": PERCENT,
  "shape.silhouette_iou": PERCENT,
  "shape.triangles": {},
  "texture.texels_per_pixel": PERCENT,
  "texture.seam_error": FINE,
  "texture.unseen_share": PERCENT,
  "rig.still_limbs": {},
  "rig.stretch": FACTOR,
};

/** What is said beside the figures, without limits. */
const SAID = {
  "figure.kind": (report) => report.figure && { say: `kind.${report.figure.kind}` },
  "texture.sizes": (report) => ({ textContent: Object.values(report.texture.sizes).map((size) => size.join(" × ")).join(", ") }),
};

/** A part of the page that is filled when the report of a job has come; nothing where it has none. */
export function showReport(status) {
  const file = status.downloads.find((download) => download.result === "report");
  if (!file) return null;
  const box = make("div", { class: "report" });
  askJson(file.url).then((report) => fill(box, describe(report)), () => box.remove());
  return box;
}

function describe(report) {
  const count = report.warnings.length;
  const heading = count ? ["report.look", { count }] : "report.good";
  return make("details", { class: "group notes", open: count > 0 },
    make("summary", {}, make("span", { class: count ? "warning" : "well" }, icon(count ? "warn" : "check"), make("span", { say: heading }))),
    count ? make("ul", { class: "advice" }, report.warnings.map(describeWarning)) : null, makeTable(report), describeGuesses(report.guessed));
}

const write = (figure, value) => value.toLocaleString(currentLanguage(), FIGURES[figure]);

/** A warning in the words of the page, or in the service's own where the page has none. */
function describeWarning(warning) {
  return make("li", {}, make("strong", { say: `report.${warning.code}` }), " ", make("span", { say: `report.${warning.code}.advice` }));
}

function makeTable(report) {
  const values = Object.keys(FIGURES).map((figure) => [figure, figure.split(".").reduce((part, name) => part?.[name], report)]);
  const crossed = new Set(report.warnings.map((warning) => warning.figure));
  const rows = values.filter(([, value]) => value != null).map(([figure, value]) => make("tr", { class: crossed.has(figure) ? "crossed" : "" },
    make("th", { scope: "row", say: `report.${figure}` }), make("td", {}, write(figure, value)),
    make("td", { class: "soft", ...sayLimit(figure, report.limits[figure]) })));
  return make("table", {}, make("thead", {}, make("tr", {}, ["report.figure", "report.value", "report.limit"].map((key) => make("th", { scope: "col", say: key })))),
    make("tbody", {}, Object.keys(SAID).map((figure) => [figure, SAID[figure](report)]).filter(([, said]) => said).map(([figure, said]) =>
      make("tr", {}, make("th", { scope: "row", say: `report.${figure}` }), make("td", { colSpan: 2, ...said }))), rows));
}

function sayLimit(figure, limit) {
  if (!limit) return {};
  return { say: limit.least == null ? ["report.most", { limit: write(figure, limit.most) }] : ["report.least", { limit: write(figure, limit.least) }] };
}

function describeGuesses(guessed) {
  if (!guessed.length) return null;
  return make("div", {}, make("h2", { say: "report.guessed" }), make("ul", { lang: "en" }, guessed.map((text) => make("li", {}, text))));
}
