"""Entry: a mesh from a file becomes a figure alone, wound outward, on the ground, facing +Z, in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..conventions import AXIS_OPTIONS
from ..errors import MeshError
from ..mesh.blades import drop_blades, find_blades
from ..mesh.pieces import Pieces, split_pieces
from ..mesh_extras import MeshExtras
from ..types import BoolArray, Float64Array, Mesh, TexturedMesh
from .form import read_form
from .frame import BodyFrame, find_frame
from .parts import find_figure_faces
from .unit import find_scale
from .winding import find_doubled_faces, find_inward_faces

_THINGS = (0.05, 30.0)
"""Meters. Anything of such a size may be meant, also where no figure was recognized."""
_LEAST_SIZE = 1e-9
"""Smaller than anything in any usual unit."""
_UNTURNED, _UNMOVED = np.eye(3), np.zeros(3)
_AFLOAT = 0.01
"""Share of the height by which a figure's lowest point may be off the ground: a clip made for others plants
the feet there."""
_NO_FIGURE = (
    "no figure was recognized, so the mesh stands, and is as large, as its file has it; set up, front and "
    "height_meters if it is one"
)


@dataclass(frozen=True, eq=False)
class PlacedMesh:
    """surface: marked as placed, and otherwise as it was given if nothing had to change.

    notes: what was changed, a sentence each. up, front: the axes that pointed up and to the front before,
    along which it was turned if they are not those of conventions.py. scale: what lengths were multiplied by.
    """

    surface: Mesh | TexturedMesh
    notes: tuple[str, ...]
    up: str = "+Y"
    front: str = "+Z"
    scale: float = 1.0


def place_mesh(
    surface: Mesh | TexturedMesh,
    *,
    up: str = "auto",
    front: str = "auto",
    height: float = 0.0,
    is_stated: bool = False,
) -> PlacedMesh:
    """Bring a figure to the frame of conventions.py, and leave out what is none of it.

    up, front: the axes of the mesh that point up and to the front, one of AXES each, or auto: found from the
    mesh. height: metres that the figure shall be tall; 0: its unit is found from its height. is_stated: the
    format of its file says that up and front are those of conventions.py, which counts much. What is no
    figure is not turned. MeshError if up and front are along the same axis; ValueError for other names.
    """
    for name, axis in (("up", up), ("front", front)):
        if axis not in AXIS_OPTIONS:
            raise ValueError(f"{name}: expected one of {', '.join(AXIS_OPTIONS)}, got {axis!r}")
    if up[1:] == front[1:] != "uto":
        raise MeshError(f"up ({up}) and front ({front}) are along the same axis; choose different ones")
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    if mesh.is_placed and (up, front, height) == ("auto", "auto", 0):
        return PlacedMesh(surface, ())
    if not _has_extent(mesh):
        return PlacedMesh(surface, ())
    pieces = split_pieces(mesh)
    kept, notes = find_figure_faces(pieces)
    mesh, pieces = _keep_faces(mesh, pieces, kept)
    mesh, pieces = _drop_doubled(mesh, pieces, notes)
    mesh = _turn_outward(mesh, pieces, notes)
    body = drop_blades(mesh.faces, find_blades(pieces))
    frame = find_frame(mesh.positions.astype(np.float64), body, up=up, front=front, is_stated=is_stated)
    if (up, front) == ("auto", "auto"):
        frame = _doubt_turn(frame, mesh)
    axes, scale = ("+Y", "+Z"), 1.0
    if frame.is_figure or (up, front) != ("auto", "auto"):
        mesh = _turn(mesh, frame, notes)
        axes = _name_axis(frame.rows[1]), _name_axis(frame.rows[2])
    size = float(np.ptp(mesh.positions, axis=0).max())
    if frame.is_figure or height or not _THINGS[0] <= size <= _THINGS[1]:
        mesh, scale = _scale(mesh, height, notes)
    elif not frame.is_standing:
        notes.append(_NO_FIGURE)
    if frame.is_figure:
        mesh = _ground(mesh, notes)
    mesh = replace(mesh, is_placed=True)
    placed = replace(surface, mesh=mesh) if isinstance(surface, TexturedMesh) else mesh
    return PlacedMesh(placed, tuple(notes), *axes, scale)


def _doubt_turn(frame: BodyFrame, mesh: Mesh) -> BodyFrame:
    """The frame of a figure; an animal or a thing that would be turned as one is none."""
    if not frame.is_figure or frame.is_standing or read_form(mesh).is_figure:
        return frame
    return replace(frame, is_figure=False)


def _has_extent(mesh: Mesh) -> bool:
    """Whether the mesh has faces with an area, finite coordinates, and a size in any unit."""
    if not len(mesh.faces) or not np.isfinite(mesh.positions).all():
        return False
    if np.ptp(mesh.positions, axis=0).max() < _LEAST_SIZE:
        return False
    corners = mesh.positions[mesh.faces].astype(np.float64)
    return bool(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any())


def _keep_faces(mesh: Mesh, pieces: Pieces, kept: BoolArray) -> tuple[Mesh, Pieces]:
    """The mesh with some of its faces, and the vertices that these use; and its pieces."""
    if kept.all():
        return mesh, pieces
    used, faces = np.unique(mesh.faces[kept], return_inverse=True)
    mesh = mesh.take_vertices(used, faces.reshape(-1, 3))
    return mesh, split_pieces(mesh)


def _drop_doubled(mesh: Mesh, pieces: Pieces, notes: list[str]) -> tuple[Mesh, Pieces]:
    """The mesh without the second side of closed surfaces, and its pieces."""
    doubled = find_doubled_faces(pieces)
    if doubled.any():
        notes.append(f"{int(doubled.sum())} faces were there twice, one for each side; one of them was kept")
    return _keep_faces(mesh, pieces, ~doubled)


def _turn_outward(mesh: Mesh, pieces: Pieces, notes: list[str]) -> Mesh:
    """The mesh with its closed surfaces wound outward."""
    inward = find_inward_faces(pieces)
    if not inward.any():
        return mesh
    notes.append(f"{int(inward.sum())} of {len(mesh.faces)} faces were inside out and were turned outward")
    faces = np.where(inward[:, None], mesh.faces[:, ::-1], mesh.faces)
    return replace(mesh, faces=faces, normals=_turn_normals(mesh, faces))


def _turn_normals(mesh: Mesh, faces: np.ndarray) -> np.ndarray | None:
    """The normals, negated where they point away from the front of the faces around them."""
    if mesh.normals is None:
        return None
    corners = mesh.positions[faces].astype(np.float64)
    front = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.bincount(
        faces.ravel(),
        np.einsum("fcd,fd->fc", mesh.normals[faces], front).ravel(),
        minlength=len(mesh.positions),
    )
    return np.where(facing[:, None] < 0, -mesh.normals, mesh.normals)


def _turn(mesh: Mesh, frame: BodyFrame, notes: list[str]) -> Mesh:
    if frame.is_standing:
        return mesh
    rows = np.round(frame.rows, 12)
    notes.append(_describe_turn(rows))
    normals = None if mesh.normals is None else mesh.normals @ rows.T
    positions = mesh.positions.astype(np.float64) @ rows.T
    return replace(mesh, positions=positions, normals=normals, extras=_move_extras(mesh, rotation=rows))


def _describe_turn(rows: Float64Array) -> str:
    up, front = (_name_axis(row) for row in rows[1:])
    fix = "Set up and front if that is wrong"
    if up == "+Y":
        return f"the figure faced {front}; it was turned to face +Z. {fix}"
    return f"the figure's up axis was {up} and it faced {front}; it was stood up and turned to face +Z. {fix}"


def _name_axis(direction: Float64Array) -> str:
    """One of AXES, or the angle of a direction between X and Z."""
    if np.abs(direction).max() > 0.999:
        axis = int(np.argmax(np.abs(direction)))
        return ("+" if direction[axis] > 0 else "-") + "XYZ"[axis]
    parts = (
        f"{value:+.2f} {name}" for value, name in zip(direction, "XYZ", strict=True) if abs(value) > 0.01
    )
    return " ".join(parts)


def _scale(mesh: Mesh, height: float, notes: list[str]) -> tuple[Mesh, float]:
    low, high = mesh.bounds
    factor, why = find_scale(float(high[1] - low[1]), height)
    if not why:
        return mesh, 1.0
    notes.append(f"the mesh is {why}")
    positions = mesh.positions.astype(np.float64) * factor
    return replace(mesh, positions=positions, extras=_move_extras(mesh, scale=factor)), factor


def _ground(mesh: Mesh, notes: list[str]) -> Mesh:
    """The mesh with its lowest point on the ground, unless it is about there; generated ones are centered."""
    low, high = mesh.bounds
    if abs(low[1]) <= _AFLOAT * (high[1] - low[1]):
        return mesh
    notes.append(f"the figure stood at a height of {low[1]:.2f} m; it was put on the ground")
    offset = np.array([0, -low[1], 0], np.float64)
    return replace(mesh, positions=mesh.positions + offset, extras=_move_extras(mesh, offset=offset))


def _move_extras(
    mesh: Mesh, rotation: Float64Array = _UNTURNED, scale: float = 1.0, offset: Float64Array = _UNMOVED
) -> MeshExtras | None:
    return None if mesh.extras is None else mesh.extras.transform(rotation, scale, offset)
