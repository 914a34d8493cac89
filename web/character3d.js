// Shows on each stage node how its last run went: the method, its time, and what it warned about; and on nodes
// that only say something, such as Quality Report and Check Rig, what they say.
import { app } from "../../scripts/app.js";

const WIDGET = "last run";
const STYLE = `height: 100%; overflow: hidden; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: 11px; line-height: 15px; color: var(--input-text); user-select: text;`;

function describe({ method, seconds, warnings }) {
  return [`${WIDGET}: ${method}, ${seconds.toFixed(1)} s`, ...warnings.map((said) => `⚠ ${said}`)].join("\n");
}

// Neither part of the saved workflow nor of the prompt: it tells of a run, it sets nothing.
function addReport(node) {
  const element = document.createElement("div");
  const text = element.appendChild(document.createElement("div"));
  element.style = STYLE;
  const widget = node.addDOMWidget(WIDGET, "report", element, {
    serialize: false,
    getMinHeight: () => (text.offsetWidth ? text.offsetHeight + 24 : 0), // 0 wide before it is laid out
    getValue: () => text.textContent,
    setValue: (value) => {
      text.textContent = value;
    },
  });
  widget.serialize = false;
  element.addEventListener("wheel", (event) => {
    if (!LiteGraph.vueNodesMode) app.canvas.processMouseWheel(event);
  });
  // The number of lines shows once they are laid out; on the canvas the node then has to make room for them.
  new ResizeObserver(() => {
    const height = node.computeSize()[1];
    if (node.size[1] < height) node.setSize([node.size[0], height]);
    node.setDirtyCanvas(true, true);
  }).observe(text);
  return widget;
}

function show(node, outputs) {
  const lines = [...(outputs?.character3d_report ?? []).map(describe), ...(outputs?.text ?? [])];
  if (!lines.length) return;
  const widget = node.widgets?.find((item) => item.name === WIDGET) ?? addReport(node);
  widget.value = lines.join("\n");
  node.setDirtyCanvas(true, true);
}

// A node in a subgraph is named "SUBGRAPH:ID" there.
function findNode(name) {
  const graph = app.rootGraph ?? app.graph;
  const [subgraph, id] = name.split(":");
  return id === undefined ? graph.getNodeById(name) : graph.subgraphs?.get(subgraph)?.getNodeById(id);
}

app.registerExtension({
  name: "Character3D.StageReport",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("C3D")) return;
    // What the schema hides, editors of 2025 hide in the Vue rendering only.
    for (const widget of node.widgets ?? []) if (widget.options?.hidden) widget.hidden = true;
    const { onExecuted } = node;
    node.onExecuted = function (outputs) {
      onExecuted?.apply(this, arguments);
      show(this, outputs);
    };
  },
  // Called with the outputs of the last run when a workflow comes back into view.
  onNodeOutputsUpdated(outputs) {
    for (const [name, output] of Object.entries(outputs)) {
      const node = findNode(name);
      if (node?.comfyClass?.startsWith("C3D")) show(node, output);
    }
  },
});
