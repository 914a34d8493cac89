"""How well the silhouette inflation and the rig fit 20 people in A, T and 大 pose.

    pip install anny==0.6.2
    python benchmarks/fit.py                          # 60 rows and the means; about 6 minutes on two cores
    python benchmarks/fit.py --people 4               # fewer people
    python benchmarks/fit.py --own-only               # only anny's own meshes, without pictures: 2 minutes
    python benchmarks/fit.py --cache people.npz       # keep the bodies between runs

Each person is a body of anny's with random age (children to old), sex, weight, muscle, height and
proportions. Columns:

iou    front silhouette of the mesh made from the picture (rendered body on a plain ground ->
       preprocess_picture -> inflate_silhouette) against the body's own, both scaled to one height, feet
       level, middles of the bounds together. Target: mean at least 0.97.
made   mean joint error on that mesh, % of height, x, y and z. A picture does not say where z = 0 lies,
       so the median z offset over the joints is taken out. Target: mean at most 5.
own    mean joint error when the fitting gets anny's own mesh, nothing taken out. Target: mean at most 3.
cross  vertices that anny binds to a limb of one side (on the made mesh: the five nearest vertices of the
       body agree on it) and we bind, by more than 0.05, to a limb of the other side; made mesh, own mesh.
       Target: 0.

Joints compared: all that both rigs name, 22: Hips, Spine, Spine1, Spine2, Neck, Head, and on both
sides Shoulder, Arm, ForeArm, Hand, UpLeg, Leg, Foot, ToeBase. Hands count as wrists, Arm as the shoulder
joint, Foot as the ankle. End joints have no counterpart in anny, its fingers none with us.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.cameras import camera_basis  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing import preprocess_picture  # noqa: E402
from character3d.pipeline.preview import render_preview  # noqa: E402
from character3d.pipeline.rasterize import rasterize_view  # noqa: E402
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton  # noqa: E402
from character3d.pipeline.types import Camera, Mesh, Skeleton, SkinWeights  # noqa: E402
from people import Person, generate_people  # noqa: E402

_GROUND = np.array((0.80, 0.82, 0.86), np.float32)
_BOUND = 0.05
_MASK_SIZE = 400
_PICTURE_SIZE = 512


def main() -> None:
    arguments = _parse_arguments()
    rows = []
    print(f"{'person':32} {'pose':8} {'seen':8} {'iou':>6} {'made':>6} {'own':>6} {'cross':>9} {'s':>5}")
    for person in generate_people(arguments.people, seed=arguments.seed, cache=arguments.cache):
        started = time.perf_counter()
        body = Mesh(person.positions, person.faces)
        seen, own, own_cross = _measure_rig(body, person, np.zeros(3), 1.0, person.sides)
        iou, made, made_cross = (np.nan, np.nan, 0) if arguments.own_only else _measure_made(body, person)
        rows.append((iou, made, own, made_cross, own_cross))
        name = f"{person.name:32} {person.pose:8} {seen:8}"
        cross, spent = f"{made_cross}, {own_cross}", time.perf_counter() - started
        print(f"{name} {iou:6.3f} {made:6.2f} {own:6.2f} {cross:>9} {spent:5.1f}", flush=True)
    table = np.array(rows)
    print("\nmean iou {:.4f}, made {:.2f} %, own {:.2f} %".format(*table[:, :3].mean(axis=0)))
    print(f"worst iou {table[:, 0].min():.4f}, made {table[:, 1].max():.2f} %, own {table[:, 2].max():.2f} %")
    print(f"vertices bound to the other side: made {table[:, 3].sum():.0f}, own {table[:, 4].sum():.0f}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--own-only", action="store_true", help="leave out the pictures")
    parser.add_argument("--cache", type=Path, help="npz file that keeps the bodies")
    return parser.parse_args()


def _measure_made(body: Mesh, person: Person) -> tuple[float, float, int]:
    """Silhouette IoU, joint error in %, and vertices bound across, on the mesh made from the picture."""
    made = inflate_silhouette(preprocess_picture(_photograph(body)))
    scale = float(np.ptp(made.positions[:, 1]) / np.ptp(body.positions[:, 1]))
    offset = _front_origin(made) - scale * _front_origin(body)
    iou = _compare_silhouettes(made, Mesh(body.positions * scale + offset, body.faces))
    near = person.sides[cKDTree(person.positions * scale + offset).query(made.positions, k=5)[1]]
    sides = np.where((near == near[:, :1]).all(axis=1), near[:, 0], 0)
    _, error, cross = _measure_rig(made, person, offset, scale, sides, free_depth=True)
    return iou, error, cross


def _photograph(body: Mesh) -> np.ndarray:
    """(512, 512, 3) the shaded body from the front on a plain ground."""
    picture = render_preview(body, size=_PICTURE_SIZE, azimuth=0.0, elevation=0.0, transparent=True)
    alpha = picture[..., 3:]
    return picture[..., :3] * alpha + _GROUND * (1 - alpha)


def _front_origin(mesh: Mesh) -> np.ndarray:
    low, high = mesh.bounds
    return np.array(((low[0] + high[0]) / 2, low[1], 0.0))


def _compare_silhouettes(first: Mesh, second: Mesh) -> float:
    low = np.minimum(first.bounds[0], second.bounds[0])
    high = np.maximum(first.bounds[1], second.bounds[1])
    centre = tuple(float(value) for value in (low + high) / 2)
    camera = Camera("front", 0.0, 0.0, float((high - low)[:2].max()) / 2 * 1.02, centre)
    assert np.allclose(camera_basis(camera), np.eye(3))
    masks = [_rasterize_mask(mesh, camera) for mesh in (first, second)]
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def _rasterize_mask(mesh: Mesh, camera: Camera) -> np.ndarray:
    faces = torch.tensor(mesh.faces, dtype=torch.int64)
    return rasterize_view(camera, torch.tensor(mesh.positions), faces, _MASK_SIZE).mask.numpy()


def _measure_rig(
    mesh: Mesh,
    person: Person,
    offset: np.ndarray,
    scale: float,
    sides: np.ndarray,
    *,
    free_depth: bool = False,
) -> tuple[str, float, int]:
    """Recognised pose, mean joint error in % of height, vertices bound to the other side."""
    fitted = fit_skeleton(mesh, pose_type=person.pose)
    skeleton = fitted.skeleton
    names = [name for name in skeleton.names if name in person.joints]
    true = np.array([person.joints[name] for name in names]) * scale + offset
    gaps = np.array([skeleton.positions[skeleton.index(name)] for name in names]) - true
    if free_depth:
        gaps[:, 2] -= np.median(gaps[:, 2])
    error = 100 * np.linalg.norm(gaps, axis=1).mean() / np.ptp(mesh.positions[:, 1])
    skin = compute_skin_weights(mesh, skeleton)
    return fitted.pose, float(error), _count_crossed(skeleton, skin, sides)


def _count_crossed(skeleton: Skeleton, skin: SkinWeights, sides: np.ndarray) -> int:
    of_joint = np.array([(":Left" in name) * 1 - (":Right" in name) * 1 for name in skeleton.names])
    bound = of_joint[skin.joints] * (skin.weights > _BOUND)
    return int(((bound == -sides[:, None]) & (sides != 0)[:, None]).any(axis=1).sum())


if __name__ == "__main__":
    main()
