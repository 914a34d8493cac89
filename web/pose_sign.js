// The name of the usual pose begins with a Chinese sign, 大. Systems without a Chinese font would show a box in
// its place: the editor's font gets it from the system's fonts, or else from the studio's.
import { app } from "../../scripts/app.js";

const SIGN = "大";
const OF_EDITORS = "Inter";
const OF_SYSTEMS = ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"];

// Editors of 2025 write on the canvas in a font of the system, to which no sign can be added, but another font.
function nameFamily() {
  if (LiteGraph.NODE_FONT.includes(OF_EDITORS)) return OF_EDITORS;
  LiteGraph.NODE_FONT += ", Character3D";
  return "Character3D";
}

async function addSign() {
  const file = `url("${app.api.fileURL("/character/studio/fonts/noto-sans-sc.woff2")}")`;
  const sources = [...OF_SYSTEMS.map((name) => `local("${name}")`), file].join(", ");
  const unicodeRange = `U+${SIGN.codePointAt(0).toString(16)}`;
  const face = new FontFace(nameFamily(), sources, { unicodeRange, weight: "100 900" });
  document.fonts.add(await face.load());
  app.canvas?.setDirty(true, true);
}

app.registerExtension({
  name: "Character3D.PoseSign",
  setup: addSign,
});
