// The Khronos glTF validator reads a GLB file; its report goes to a JSON file as it is.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.CHARACTER3D_NODE_MODULES, "_"));
const validator = require(join(process.env.CHARACTER3D_NODE_MODULES, "gltf-validator"));
const [modelPath, reportPath] = process.argv.slice(2);
const report = await validator.validateBytes(new Uint8Array(readFileSync(modelPath)), {
  uri: modelPath,
  format: "glb",
  maxIssues: 100,
});
writeFileSync(reportPath, JSON.stringify(report));
