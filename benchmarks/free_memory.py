"""Resident memory of ComfyUI before a learned model is used, while it is kept, and after POST /free.

    python benchmarks/free_memory.py        two minutes on two cores; Linux only

Sets up ComfyUI like quickstart.py, writes a random Hunyuan3D checkpoint of about 650 MB (the layout of 2mini,
as wide as it; on the CPU ComfyUI holds it in float32, twice as large), and runs Generate Mesh with it twice.
`anonymous` is what only this process holds; pages of the mapped file, which the system may drop at any time,
are counted in `resident` as well.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402

from launcher.environment import prepare_test_comfyui  # noqa: E402
from launcher.installation import copy_examples, link_pack  # noqa: E402
from launcher.server import Server, find_free_port, run_server  # noqa: E402

FILE = "hunyuan3d-dit-v2-mini-random.safetensors"
HIDDEN = 1024


def import_small() -> ModuleType:
    """Import tests/small_hunyuan3d.py, which lists the tensors of the published files."""
    spec = importlib.util.spec_from_file_location("small", REPOSITORY / "tests" / "small_hunyuan3d.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_checkpoint(path: Path) -> None:
    """A checkpoint whose diffusion model alone is wide; the other two parts are the tests' small ones."""
    small = import_small()
    weights = small.draw_figure_checkpoint("mini")
    shapes = small.list_dit_2_0(hidden=HIDDEN, double=8, single=1)
    for name, shape in shapes.items():
        weights[f"model.{name}"] = 0.02 * torch.randn(shape)
    small.save_checkpoint(path, weights)


def build_prompt(seed: int) -> dict[str, Any]:
    """The service's graph up to Generate Mesh, at its quickest."""
    graph = json.loads(
        (REPOSITORY / "workflows" / "api" / "Picture to rigged character.json").read_text(encoding="utf-8")
    )
    (mesh,) = (key for key, node in graph.items() if node["class_type"] == "C3DGenerateMesh")
    quick = {"mesh_steps": 2, "guidance_scale": 1.0, "octree_resolution": 32}
    graph[mesh]["inputs"] |= {"mesh_model": FILE, "seed": seed, **quick}
    return {key: node for key, node in graph.items() if int(key) <= int(mesh)}


def ask(server: Server, path: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of a route, None where it is empty."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read() or b"null")


def run(server: Server, seed: int) -> None:
    """Run the graph to its end."""
    prompt_id = ask(server, "/prompt", {"prompt": build_prompt(seed)})["prompt_id"]
    while not (history := ask(server, f"/history/{prompt_id}")):
        time.sleep(0.2)
    status = history[prompt_id]["status"]
    if status["status_str"] != "success":
        raise RuntimeError(status["messages"])


def print_memory(server: Server, when: str) -> None:
    """One line of the table, MiB."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    sizes = {name: int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024 for name in ("VmRSS", "RssAnon")}  # type: ignore[index]
    print(f"{when:28} {sizes['VmRSS']:8.0f} {sizes['RssAnon']:10.0f}", flush=True)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        installation = dataclasses.replace(prepare_test_comfyui(), base=Path(folder))
        link_pack(installation.base / "custom_nodes")
        copy_examples(installation.base / "input")
        path = installation.base / "models" / "diffusion_models" / FILE
        write_checkpoint(path)
        print(f"checkpoint: {path.stat().st_size / 2**20:.0f} MiB")
        with run_server(installation, find_free_port()) as server:
            print(f"{'MiB':28} {'resident':>8} {'anonymous':>10}")
            print_memory(server, "started")
            for number in (1, 2):
                run(server, number)
                print_memory(server, f"after run {number}")
            time.sleep(15)  # ComfyUI's worker misses a /free that comes while it still tidies up after a run
            ask(server, "/free", {"unload_models": True, "free_memory": True})
            time.sleep(15)
            print_memory(server, "after POST /free")


if __name__ == "__main__":
    main()
