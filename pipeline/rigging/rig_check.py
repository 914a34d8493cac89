"""What a rig would make of a mesh: what it is, how it stands, what it lacks or has grown together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..errors import MeshError, RigError
from ..mesh.components import find_components
from ..mesh.topology import label_components, list_directed_edges
from ..orientation import name_unit, place_mesh
from ..orientation.form import read_form
from ..types import Mesh, TexturedMesh
from .findings import (
    Finding,
    find_in_body,
    find_in_form,
    find_in_place,
    find_in_surface,
)
from .fit.fit_skeleton import FittedSkeleton, fit_skeleton

SKELETONS = ("humanoid", "along limbs", "none")
"""What Rig Character would give: a person's skeleton, one along the mesh's own limbs, or an error."""


@dataclass(frozen=True, eq=False)
class SurfaceFacts:
    """size: (3,) of the mesh as it came, in its unit. pieces: what hangs together; holes: open rims."""

    vertices: int
    faces: int
    size: tuple[float, float, float]
    pieces: int
    holes: int


@dataclass(frozen=True, eq=False)
class RigCheck:
    """kind, confidence, kinds: see Form. skeleton: one of SKELETONS.

    up, front: axes of the mesh as it came that point up and to where it faces; unit: what its lengths were
    taken for; height_meters: so tall it is then. symmetry: 1 where both halves are mirror images, 0 where
    they have nothing in common. pose: one of REST_POSES, "" of what is no figure. arms, legs, fingers: how
    many are apart from the body and from each other. findings: most important first.
    """

    kind: str
    confidence: float
    kinds: Mapping[str, float]
    skeleton: str
    up: str
    front: str
    unit: str
    height_meters: float
    surface: SurfaceFacts
    symmetry: float
    pose: str = ""
    arms: int = 0
    legs: int = 0
    fingers: int = 0
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """The members as JSON has them, those of `surface` among the others."""
        members = asdict(self)
        return {**members, **members.pop("surface"), "findings": [asdict(item) for item in self.findings]}


def check_rig(
    surface: Mesh | TexturedMesh,
    *,
    up: str = "auto",
    front: str = "auto",
    height: float = 0.0,
    is_stated: bool = False,
) -> RigCheck:
    """Look a mesh over as Rig Character would read it, without binding it. The others: as of place_mesh.

    MeshError: no faces with an area, or coordinates that are not finite.
    """
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    facts = measure_surface(mesh)
    placed = place_mesh(surface, up=up, front=front, height=height, is_stated=is_stated)
    body = placed.surface.mesh if isinstance(placed.surface, TexturedMesh) else placed.surface
    form = read_form(body)
    fitted, refused = _fit(body) if form.is_figure else (None, "")
    metrics = {} if fitted is None else fitted.metrics
    findings = [
        *find_in_form(form, has_joints=bool(metrics.get("joints_seen"))),
        *find_in_place(placed),
        *find_in_surface(facts.pieces, facts.holes, form),
    ]
    if refused:
        findings.insert(0, Finding("refused", refused, "Use a mesh that encloses a volume."))
    if fitted is not None:
        findings += find_in_body(fitted)
    skeleton = "none" if refused else "humanoid" if form.is_figure else "along limbs"
    return RigCheck(
        kind=form.kind,
        confidence=round(form.confidence, 3),
        kinds={kind: round(share, 3) for kind, share in form.shares.items()},
        skeleton=skeleton,
        up=placed.up,
        front=placed.front,
        unit=name_unit(placed.scale),
        height_meters=round(float(np.ptp(body.positions[:, 1])), 4),
        surface=facts,
        symmetry=round(form.symmetry, 3),
        pose="" if fitted is None else fitted.pose,
        arms=int(metrics.get("arms_found", 0)),
        legs=int(metrics.get("legs_found", 0)),
        fingers=_count_fingers(fitted),
        findings=tuple(findings),
    )


def measure_surface(mesh: Mesh) -> SurfaceFacts:
    """Count a mesh. MeshError: no faces with an area, or coordinates that are not finite."""
    if not len(mesh.faces) or not np.isfinite(mesh.positions).all():
        found = f"{len(mesh.positions)} vertices and {len(mesh.faces)} faces"
        raise MeshError(f"expected a mesh with faces and finite coordinates, found {found}")
    size = np.ptp(mesh.positions[mesh.faces].reshape(-1, 3).astype(np.float64), axis=0)
    if np.count_nonzero(size) < 2:
        raise MeshError(
            f"expected a mesh with an extent, found one of {' × '.join(f'{s:.3g}' for s in size)}"
        )
    welded = find_components(mesh)
    pieces = len(np.unique(welded.labels[welded.faces]))
    width, height, depth = (float(side) for side in size)
    return SurfaceFacts(
        len(mesh.positions), len(mesh.faces), (width, height, depth), pieces, _count_rims(welded.faces)
    )


def _count_rims(faces: np.ndarray) -> int:
    """How many connected rims the edges with a single face make."""
    start, end = list_directed_edges(faces)
    pairs = np.sort(np.stack((start, end), axis=1), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    edges, uses = np.unique(pairs, axis=0, return_counts=True)
    rims = edges[uses == 1]
    if not len(rims):
        return 0
    points, ends = np.unique(rims, return_inverse=True)
    one, two = ends.reshape(-1, 2).T
    return int(label_components((one, two), len(points)).max()) + 1


def _fit(mesh: Mesh) -> tuple[FittedSkeleton | None, str]:
    try:
        return fit_skeleton(mesh, pose_type="No", fingers=True), ""
    except RigError as error:
        return None, str(error)


def _count_fingers(fitted: FittedSkeleton | None) -> int:
    """Fingers that got joints."""
    names = () if fitted is None else fitted.skeleton.names
    return sum("Hand" in name and name.endswith("1") and "Prop" not in name for name in names)
