"""Reads USD with usd-core, in a process of its own, which apart.py starts.

USD is native code that reads what strangers wrote. This and what it imports need numpy and it alone.
The stage is read at its first moment, skins at rest.

Sources: UsdGeom, UsdShade and UsdSkel (openusd.org).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pxr import Ar, Tf, Usd, UsdGeom, UsdShade, UsdUtils

from .left_out import LeftOut
from .polygons import cut_polygons
from .usd_rig import UsdRig, count_left_out
from .usd_shading import Materials

_NOW = Usd.TimeCode.EarliestTime()
_MOST_INSTANCES = 100_000
_SHOWN = Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)
_PROTOTYPE = Usd.TraverseInstanceProxies(Usd.PrimIsActive & Usd.PrimIsLoaded)
"""Prototypes may stand below a class or an `over`, which is not shown itself."""


def main(model: str, folder: str) -> None:
    """Write what the stage shows, `error` or `refused`, to scene.json and arrays.npz in `folder`."""
    arrays: dict[str, Any] = {}
    try:
        described = _Reader(Path(model), arrays).describe()
    except Tf.ErrorException:
        described = {"error": "it cannot be opened as USD"}
    except UnicodeDecodeError:
        described = {"error": "it has text that is not UTF-8"}
    except _Refused as error:
        described = {"refused": str(error)}
    np.savez(Path(folder, "arrays.npz"), **arrays)
    Path(folder, "scene.json").write_text(json.dumps(described), encoding="utf-8")


class _Refused(Exception):
    """The file is sound and cannot be read."""


class _Reader:
    """Reads one stage; materials once each, by their path."""

    def __init__(self, path: Path, arrays: dict[str, Any]) -> None:
        self._path, self._arrays = path, arrays
        self._stage = Usd.Stage.Open(str(path))
        self._check_layers()
        frame = np.eye(4) * UsdGeom.GetStageMetersPerUnit(self._stage)
        if UsdGeom.GetStageUpAxis(self._stage) == UsdGeom.Tokens.z:
            frame[:3, :3] = frame[:3, :3] @ ((1, 0, 0), (0, 0, -1), (0, 1, 0))  # for row vectors
        frame[3, 3] = 1
        self._frame = frame
        self._places = UsdGeom.XformCache(_NOW)
        self._rig = UsdRig(self._stage, self._places, frame, _NOW)
        self._left_out = LeftOut()
        self._open: list[Any] = []
        self._placed = 0
        self._parts: list[dict[str, Any]] = []
        self._hidden: list[str] = []
        self._warnings: set[str] = set()
        self._materials = Materials(path, arrays, self._warnings)

    def describe(self) -> dict[str, Any]:
        """The scene in the form that usd.py reads."""
        root = self._stage.GetPseudoRoot()
        self._read_below(root, np.eye(4), _SHOWN)
        for named in UsdUtils.ComputeAllDependencies(str(self._path))[2]:
            if Path(named).suffix.startswith(".usd"):  # textures are named where they are missed
                self._warnings.add(f"what it takes from {Path(named).name!r} is left out: it is not there")
        return {
            "materials": self._materials.described,
            "parts": self._parts,
            "hidden": self._hidden,
            "skeleton": self._rig.describe(self._arrays),
            "clips": self._rig.describe_clips(self._arrays, self._left_out),
            "warnings": [*sorted(self._warnings), *self._left_out.describe()],
        }

    def _check_layers(self) -> None:
        folder = self._path.resolve().parent
        for layer in self._stage.GetUsedLayers():
            place = Ar.SplitPackageRelativePathOuter(layer.realPath)[0]
            if place and not Path(place).resolve().is_relative_to(folder):
                raise _Refused(f"refers to {Path(place).name!r}, which is not below its own folder")

    def _read_below(self, root: Any, outer: Any, chosen: Any) -> None:
        """The `chosen` prims below a prim that are shown, moved by `outer`, (4, 4) for row vectors."""
        prims = iter(Usd.PrimRange(root, chosen))
        for prim in prims:
            count_left_out(prim, self._left_out)
            image = UsdGeom.Imageable(prim)
            if not image:
                continue
            if image.GetVisibilityAttr().Get(_NOW) == UsdGeom.Tokens.invisible:
                self._hidden.append(prim.GetName())
                prims.PruneChildren()
            elif image.ComputePurpose() in (UsdGeom.Tokens.guide, UsdGeom.Tokens.proxy):
                prims.PruneChildren()
            elif prim.IsA(UsdGeom.PointInstancer):
                self._read_instancer(UsdGeom.PointInstancer(prim), outer)
                prims.PruneChildren()
            elif prim.IsA(UsdGeom.Mesh):
                self._read_mesh(UsdGeom.Mesh(prim), outer)
            elif prim.IsA(UsdGeom.Gprim):
                self._warnings.add(f"a {prim.GetTypeName()} is left out: it is no mesh")

    def _read_instancer(self, instancer: Any, outer: Any) -> None:
        prim = instancer.GetPrim()
        targets = instancer.GetPrototypesRel().GetForwardedTargets()
        numbers = instancer.GetProtoIndicesAttr().Get(_NOW) or []
        self._placed += len(numbers)
        if self._placed > _MOST_INSTANCES:
            raise _Refused(f"has more than {_MOST_INSTANCES} instances, which is as many as are read")
        if prim.GetPath() in self._open:
            raise _Refused(f"is damaged: {prim.GetName()!r} is made of itself")
        places = instancer.ComputeInstanceTransformsAtTime(_NOW, _NOW, instancer.ExcludeProtoXform)
        shown = instancer.ComputeMaskAtTime(_NOW) or [True] * len(numbers)
        numbers = [number for number, is_shown in zip(numbers, shown, strict=False) if is_shown]
        own = np.array(self._places.GetLocalToWorldTransform(prim))
        self._open.append(prim.GetPath())
        for number, place in zip(numbers, places, strict=False):
            if 0 <= number < len(targets) and (prototype := self._stage.GetPrimAtPath(targets[number])):
                above = _invert(prototype, self._places.GetParentToWorldTransform(prototype))
                self._read_below(prototype, above @ np.array(place) @ own @ outer, _PROTOTYPE)
        self._open.pop()

    def _read_mesh(self, mesh: Any, outer: Any) -> None:
        """The triangles of a mesh, one part for each material."""
        prim = mesh.GetPrim()
        points = np.array(mesh.GetPointsAttr().Get(_NOW) or np.zeros((0, 3)), np.float64).reshape(-1, 3)
        sizes = np.array(mesh.GetFaceVertexCountsAttr().Get(_NOW) or [], np.int64)
        corners = np.array(mesh.GetFaceVertexIndicesAttr().Get(_NOW) or [], np.int64)
        if not len(points) or not len(corners):
            return
        if sizes.min(initial=0) < 0 or sizes.sum() != len(corners):
            raise _Refused(f"is damaged: the mesh {prim.GetName()!r} has {len(corners)} corners")
        if corners.min() < 0 or corners.max() >= len(points):
            raise _Refused(f"is damaged: its faces name vertex {corners.max()} of {len(points)}")
        if mesh.GetSubdivisionSchemeAttr().HasAuthoredValue() and len(
            mesh.GetCreaseLengthsAttr().Get() or ()
        ):
            self._warnings.add("subdivision surfaces are read as their cages, without creases")
        triangles, owner = cut_polygons(points[corners], sizes)
        holes = np.array(mesh.GetHoleIndicesAttr().Get(_NOW) or [], np.int64)
        is_kept = ~np.isin(owner, holes)
        triangles, owner = triangles[is_kept], owner[is_kept]
        matrix = np.array(self._places.GetLocalToWorldTransform(prim))
        points, matrix, skin = self._pose(prim, points, matrix)
        matrix = matrix @ outer @ self._frame
        points = points @ matrix[:3, :3] + matrix[3, :3]
        if (mesh.GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded) != (np.linalg.det(matrix) < 0):
            triangles = triangles[:, ::-1]
        for faces, material in self._list_bindings(mesh, len(sizes)):
            own = triangles if faces is None else triangles[faces[owner]]
            if material >= 0 and mesh.GetDoubleSidedAttr().Get(_NOW):
                self._materials.described[material]["two_sided"] = True
            layers = self._read_layers(mesh, material, corners, sizes)
            self._add_part(prim.GetName(), {"positions": points, **skin}, corners, own, layers, material)

    def _pose(self, prim: Any, points: Any, matrix: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Points as the skin has them at rest, what places those, and their joints and weights (V, K)."""
        query, skin = self._rig.query(prim)
        bind = skin.GetJointWorldBindTransforms() if skin else None
        rest = skin.ComputeJointSkelTransforms(_NOW, True) if skin else None
        influences = query.ComputeVaryingJointInfluences(len(points), _NOW) if query else None
        if not bind or not rest or not influences:
            return points, matrix, {}
        moved = _invert(skin.GetPrim(), bind) @ np.array(rest)
        joints, weights = (np.array(values).reshape(len(points), -1) for values in influences)
        mapper = query.GetJointMapper()
        if mapper and not mapper.IsIdentity():
            order = {name: place for place, name in enumerate(skin.GetJointOrder())}
            own = np.array([order.get(name, 0) for name in query.GetJointOrder()])
            _check_joints(prim, joints, len(own))
            joints = own[joints]
        _check_joints(prim, joints, len(moved))
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total > 0, total, 1)
        blended = np.einsum("vk,vkab->vab", weights, moved[joints])
        blended[total[:, 0] <= 0] = np.eye(4)
        bound = np.c_[points, np.ones(len(points))] @ np.array(query.GetGeomBindTransform(_NOW))
        posed = np.einsum("va,vab->vb", bound, blended)[:, :3]
        held = {"joints": joints + self._rig.number(skin), "weights": weights}
        return posed, np.array(self._places.GetLocalToWorldTransform(skin.GetPrim())), held

    def _list_bindings(self, mesh: Any, count: int) -> Iterator[tuple[Any, int]]:
        """Masks (F,) of faces, None for all, and the material of each; -1 for none."""
        binding = UsdShade.MaterialBindingAPI(mesh.GetPrim())
        rest = np.ones(count, bool)
        for subset in binding.GetMaterialBindSubsets():
            faces = np.zeros(count, bool)
            chosen = np.array(subset.GetIndicesAttr().Get(_NOW) or [], np.int64)
            faces[chosen[(chosen >= 0) & (chosen < count)]] = True
            own = UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()[0]
            yield faces & rest, self._materials.number(own)
            rest &= ~faces
        own = self._materials.number(binding.ComputeBoundMaterial()[0])
        if rest.all():
            yield None, own
        elif rest.any():
            yield rest, own

    def _read_layers(self, mesh: Any, material: int, corners: Any, sizes: Any) -> dict[str, Any]:
        """Uvs and colors at each corner, where the mesh has them."""
        primvars = UsdGeom.PrimvarsAPI(mesh.GetPrim())
        name = self._materials.described[material]["uvs"] if material >= 0 else "st"
        uvs = _read_corners(primvars.FindPrimvarWithInheritance(name), corners, sizes)
        layers = {} if uvs is None or uvs.shape[1] != 2 else {"uvs": uvs}
        color = _read_corners(primvars.FindPrimvarWithInheritance("displayColor"), corners, sizes)
        if material < 0 and color is not None and color.shape[1] == 3:
            alpha = _read_corners(primvars.FindPrimvarWithInheritance("displayOpacity"), corners, sizes)
            alpha = np.ones((len(corners), 1)) if alpha is None else alpha[:, :1]
            layers["colors"] = np.concatenate((color, alpha), axis=1).clip(0, 1)
        return layers

    def _add_part(
        self,
        name: str,
        of_points: dict[str, Any],
        corners: Any,
        triangles: Any,
        layers: dict[str, Any],
        material: int,
    ) -> None:
        """Keep triangles of corners; corners that are equal become one vertex."""
        if not len(triangles):
            return
        flat = triangles.ravel()
        columns = [
            corners[flat, None],
            *(values[flat].astype(np.float32).view(np.int32) for values in layers.values()),
        ]
        rows, inverse = np.unique(
            np.concatenate(columns, axis=1), axis=0, return_index=True, return_inverse=True
        )[1:]
        part = {key: values[flat[rows]] for key, values in layers.items()}
        part |= {key: values[corners[flat[rows]]] for key, values in of_points.items()}
        part["faces"] = inverse.reshape(-1, 3)
        number = len(self._parts)
        keys = {key: f"part{number}_{key}" for key in part}
        self._arrays.update({keys[key]: values for key, values in part.items()})
        self._parts.append({"name": name, "material": material, "keys": keys})


def _invert(prim: Any, matrices: Any) -> Any:
    """The inverse of one matrix of a prim, or of each of several."""
    try:
        return np.linalg.inv(np.array(matrices))
    except np.linalg.LinAlgError as error:
        raise _Refused(f"is damaged: a transform of {prim.GetName()!r} has no inverse") from error


def _check_joints(prim: Any, joints: Any, count: int) -> None:
    if joints.min(initial=0) < 0 or joints.max(initial=0) >= count:
        raise _Refused(f"is damaged: the skin of {prim.GetName()!r} names joint {joints.max()} of {count}")


def _read_corners(primvar: Any, corners: Any, sizes: Any) -> Any:
    """(C, k) values of a primvar at each corner; None if it has none that fit."""
    if not primvar or not primvar.HasValue():
        return None
    values = np.array(primvar.ComputeFlattened(_NOW), np.float64)
    if not values.ndim or not len(values):
        return None
    values = values.reshape(len(values), -1)
    kind = primvar.GetInterpolation()
    places = {
        UsdGeom.Tokens.constant: np.zeros(len(corners), np.int64),
        UsdGeom.Tokens.uniform: np.repeat(np.arange(len(sizes)), sizes),
        UsdGeom.Tokens.faceVarying: np.arange(len(corners)),
    }.get(kind, corners)
    return values[places] if places.max() < len(values) else None
