// Shows under each stage node which method ran, how long it took, and what it warned about.
import { app } from "../../scripts/app.js";

const WIDGET = "last run";

function describe(report) {
  const head = `${report.method}, ${report.seconds.toFixed(1)} s`;
  return [head, ...report.warnings].join(" | ");
}

function show(node, text) {
  let widget = node.widgets?.find((item) => item.name === WIDGET);
  if (!widget) {
    // Neither part of the saved workflow nor of the prompt: it tells of a run, it sets nothing.
    widget = node.addWidget("text", WIDGET, "", () => {}, { serialize: false });
    widget.serialize = false;
  }
  widget.value = text;
  // A disabled widget hides its value, so this one only takes back what was typed into it.
  widget.callback = () => {
    widget.value = text;
  };
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "Character3D.StageReport",
  async beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("C3D")) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      onExecuted?.apply(this, arguments);
      const report = message?.character3d_report?.[0];
      if (report) show(this, describe(report));
    };
  },
});
