// The name of the usual pose begins with a Chinese sign, 大. Systems without a Chinese font would show a box in
// its place: the editor's own font, Inter, gets it from the system's fonts, or else from the studio's.
import { app } from "../../scripts/app.js";

const SIGN = "大";
const FAMILY = "Inter";
const OF_SYSTEMS = ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"];

async function addSign() {
  const file = `url("${app.api.fileURL("/character/studio/fonts/noto-sans-sc.woff2")}")`;
  const sources = [...OF_SYSTEMS.map((name) => `local("${name}")`), file].join(", ");
  const unicodeRange = `U+${SIGN.codePointAt(0).toString(16)}`;
  document.fonts.add(await new FontFace(FAMILY, sources, { unicodeRange, weight: "100 900" }).load());
  // Editors of 2025 write on the canvas in another font, of the system.
  if (!LiteGraph.NODE_FONT.includes(FAMILY)) LiteGraph.NODE_FONT += `, ${FAMILY}`;
  app.canvas?.setDirty(true, true);
}

app.registerExtension({
  name: "Character3D.PoseSign",
  setup: addSign,
});
