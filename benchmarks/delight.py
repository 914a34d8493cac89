"""Albedo of de-lit pictures against the true one, without ComfyUI.

    python benchmarks/delight.py FOLDER                  # FOLDER/*.npz: meshes as skin.py takes them
    python benchmarks/delight.py FOLDER --sheet out.png  # albedo, picture, de-lit picture of each

lit_figures.py paints each mesh and renders it under three of six lights, with cast shadows and a sky. The
constants were chosen on half of TUNE; HELD are meshes of other makers. What counts as unlit was set with all
of them in view. Rows: `embedded` sees the normals of the mesh that silhouette inflation makes of the
picture, `true mesh` those of the mesh itself. LMSE: Grosse et al. 2009, windows of 20 of 384 pixels. dE:
mean CIE 1976 difference after one factor for the brightness of all. better: share of pictures whose dE fell.
The last two rows are pictures without light: `flat` ones should stay as they are, `soft` ones have clouds of
two colors on some materials, which can be taken for light.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.color import linear_to_srgb, srgb_to_lab, srgb_to_linear  # noqa: E402
from character3d.pipeline.generating_multiview_texture import delight_picture  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from character3d.pipeline.types import FramedPicture, Mesh  # noqa: E402
from lit_figures import LIGHTS, load_figure, look_at, paint, shade  # noqa: E402

Array = npt.NDArray[Any]

_HELD = ("q_", "kaykit", "pc_", "rpm", "readyplayer")
_LIGHTS_PER_FIGURE = 3
_WINDOW = 20


def measure_windows(albedo: Array, found: Array, mask: Array) -> float:
    """LMSE: what is left of the error after each window got its best factor, as a share of the albedo."""
    true, made = (srgb_to_linear(image)[::2, ::2] * mask[::2, ::2, None] for image in (albedo, found))
    error = total = 0.0
    for row in range(0, len(true) - _WINDOW + 1, _WINDOW // 2):
        for column in range(0, true.shape[1] - _WINDOW + 1, _WINDOW // 2):
            window = slice(row, row + _WINDOW), slice(column, column + _WINDOW)
            one, two = true[window], made[window]
            factor = float((one * two).sum()) / max(float((two * two).sum()), 1e-5)
            error += float(((one - factor * two) ** 2).sum())
            total += float((one * one).sum())
    return error / total


def measure_difference(albedo: Array, found: Array, mask: Array, *, is_scaled: bool = True) -> float:
    true, made = albedo[mask], found[mask]
    if is_scaled:
        light, other = srgb_to_linear(true), srgb_to_linear(made)
        made = linear_to_srgb(other * np.median(light.sum(axis=1) / np.maximum(other.sum(axis=1), 1e-3)))
    return float(np.linalg.norm(srgb_to_lab(true) - srgb_to_lab(made), axis=1).mean())


def measure_figure(path: Path) -> tuple[dict[str, list[list[float]]], list[Array]]:
    """Rows of figures by kind, and the tiles of the sheet."""
    figure, seed = load_figure(path), zlib.crc32(path.stem.encode())
    surface = look_at(figure)
    mask = surface.mask
    albedo, flat = (paint(surface, seed, is_soft=is_soft) for is_soft in (True, False))
    framed = FramedPicture(np.dstack((albedo, mask)))
    embedded = inflate_silhouette(framed, figure=read_figure(framed))
    rows: dict[str, list[list[float]]] = {"embedded": [], "true mesh": [], "flat": [], "soft": []}
    names = np.random.default_rng(seed).choice(list(LIGHTS), _LIGHTS_PER_FIGURE, replace=False)
    tiles = [albedo]
    for name in names:
        picture = shade(figure, surface, albedo, LIGHTS[name])
        before = measure_windows(albedo, picture, mask), measure_difference(albedo, picture, mask)
        for kind, mesh in (("embedded", embedded), ("true mesh", figure.mesh)):
            found = _delight(picture, mask, mesh)
            after = measure_windows(albedo, found, mask), measure_difference(albedo, found, mask)
            rows[kind].append([*before, *after, float(after[1] < before[1])])
            tiles += [picture, found] if kind == "embedded" else []
    for kind, image in (("flat", flat), ("soft", albedo)):
        found = _delight(image, mask, embedded)
        rows[kind].append([measure_difference(image, found, mask, is_scaled=False)])
    return rows, [np.where(mask[..., None], tile, 1)[::3, ::3] for tile in tiles]


def _delight(picture: Array, mask: Array, mesh: Mesh) -> Array:
    return delight_picture(FramedPicture(np.dstack((picture, mask))), mesh).color


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="names of files without .npz")
    parser.add_argument("--sheet", type=Path, help="a picture to write")
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], list[list[float]]] = {}
    lines = []
    for path in sorted(arguments.folder.glob("*.npz")):
        if arguments.only and path.stem not in arguments.only:
            continue
        part = "HELD" if path.stem.startswith(_HELD) else "TUNE"
        found, tiles = measure_figure(path)
        for kind, values in found.items():
            rows.setdefault((part, kind), []).extend(values)
        lines.append(np.concatenate(tiles, axis=1))
        print(f"{part} {path.stem}", flush=True)
    for (part, kind), values in sorted(rows.items()):
        table = np.array(values)
        if kind in ("flat", "soft"):
            print(
                f"{part} {kind:10} {len(table):3} pictures  dE {table.mean():.2f}, largest {table.max():.2f}"
            )
            continue
        old, old_difference, new, difference, better = table.mean(axis=0)
        print(
            f"{part} {kind:10} {len(table):3} pictures  LMSE {old:.4f} -> {new:.4f}  "
            f"dE {old_difference:.2f} -> {difference:.2f}  better {better:.0%}"
        )
    if arguments.sheet:
        Image.fromarray(np.uint8(255 * np.concatenate(lines).clip(0, 1))).save(arguments.sheet)


if __name__ == "__main__":
    main()
