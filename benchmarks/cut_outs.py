"""Cut-outs of a running ComfyUI for pictures.py: the first nodes of the service's graph, alone."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

_GRAPH = Path(__file__).resolve().parent.parent / "workflows" / "api" / "Picture to rigged character.json"


class CutOut(NamedTuple):
    """framed: (S, S, 4), 0..1. left, top, side: of the square that was framed, in pixels of the picture."""

    framed: Array
    left: float
    top: float
    side: float

    def unframe(self, size: tuple[int, int]) -> Array:
        """The subject (H, W) bool in the picture of `size` (width, height)."""
        alpha = Image.fromarray(np.uint8(np.round(255 * self.framed[..., 3])))
        scale = len(self.framed) / self.side
        matrix = (scale, 0, -self.left * scale, 0, scale, -self.top * scale)
        placed = alpha.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        return np.asarray(placed) >= 128


def cut_out(address: str, picture: Image.Image) -> CutOut | None:
    """Cut out a picture as a job would; None if the stage finds no subject."""
    name = _upload(address, picture)
    prompt = _ask(f"{address}/prompt", {"prompt": _make_graph(name)})["prompt_id"]
    while prompt not in (history := _ask(f"{address}/history/{prompt}")):
        time.sleep(0.2)
    outputs = history[prompt]["outputs"]
    if "image" not in outputs or "mask" not in outputs:
        return None
    planes = [_view(address, outputs[node]["images"][0]) for node in ("image", "mask")]
    report = next(out["character3d_report"][0] for out in outputs.values() if "character3d_report" in out)
    frame = (report["metrics"][f"frame_{edge}"] for edge in ("left", "top", "side"))
    return CutOut(np.concatenate([planes[0][..., :3], planes[1][..., :1]], axis=2), *frame)


def _make_graph(name: str) -> dict[str, Any]:
    """The nodes up to the framed picture, and one for each of its planes."""
    graph = json.loads(_GRAPH.read_text(encoding="utf-8"))
    last = next(key for key, node in graph.items() if node["class_type"] == "C3DPreprocessPicture")
    needed: dict[str, Any] = {}

    def add(key: str) -> None:
        needed[key] = graph[key]
        for value in graph[key]["inputs"].values():
            if isinstance(value, list):
                add(value[0])

    add(last)
    first = next(node for node in needed.values() if node["class_type"] == "LoadImage")
    first["inputs"]["image"] = name
    needed["plane"] = {"class_type": "MaskToImage", "inputs": {"mask": [last, 1]}}
    needed["image"] = {"class_type": "PreviewImage", "inputs": {"images": [last, 0]}}
    needed["mask"] = {"class_type": "PreviewImage", "inputs": {"images": ["plane", 0]}}
    return needed


def _upload(address: str, picture: Image.Image) -> str:
    """Put a picture into ComfyUI's input folder; returns its name there."""
    content, name, line = io.BytesIO(), f"{uuid.uuid4().hex}.png", uuid.uuid4().hex
    picture.save(content, "PNG")
    head = f'--{line}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    body = head.encode() + content.getvalue() + f"\r\n--{line}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={line}"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/upload/image", body, kind)) as answer:
        return str(json.load(answer)["name"])


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
        return json.load(answer)


def _view(address: str, image: dict[str, str]) -> Array:
    """A picture that a node saved, (H, W, C) 0..1."""
    with urllib.request.urlopen(f"{address}/view?{urlencode(image)}") as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"), np.float32) / 255
