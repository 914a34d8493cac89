"""USD stages changed at random as what they are: prims with typed attributes. For fuzz.py; needs usd-core."""

from __future__ import annotations

import contextlib
import math
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from pxr import Sdf, Tf, UsdUtils

_NUMBERS = [0, 1, -1, 2, 3, 7, 255, 65535, 2**31 - 1, -(2**31), 0.5, -1e30, 1e300, math.inf, math.nan]
_TEXTS = ["", "a", "st", "faceVarying", "leftHanded", "invisible", "proxy", "UsdUVTexture", "../a.png", "hip"]
_TYPES = [
    "Mesh", "Scope", "Skeleton", "SkelRoot", "SkelAnimation", "PointInstancer", "Material", "Shader",
    "GeomSubset", "Camera", "Sphere", "BasisCurves", "",
]  # fmt: skip
_META = {"metersPerUnit": _NUMBERS, "upAxis": ["X", "Y", "Z", ""], "timeCodesPerSecond": _NUMBERS,
         "startTimeCode": _NUMBERS, "endTimeCode": _NUMBERS, "defaultPrim": ["root", "none"]}  # fmt: skip
_OF_PROPERTIES = {
    "interpolation": ["constant", "uniform", "vertex", "varying", "faceVarying", "a"],
    "elementSize": [0, -1, 1, 2, 2**31 - 1],
}
_OF_PRIMS = {"instanceable": [True], "active": [False], "kind": ["a"]}


def change_stage(source: Path, choose: random.Random) -> bytes:
    """The stage of a file with a few changes, in the format of its suffix.

    Some changes crash USD before it has written them, so this has a fork, too; the file is empty then.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "changed")
        child = os.fork()
        if not child:
            try:
                written.write_bytes(_change_stage(source, choose))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return written.read_bytes() if written.exists() else b""


def _change_stage(source: Path, choose: random.Random) -> bytes:
    layer = Sdf.Layer.OpenAsAnonymous(str(source))
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        with contextlib.suppress(Tf.ErrorException, TypeError, ValueError, OverflowError):
            _change_layer(layer, choose)
    with tempfile.TemporaryDirectory() as folder:
        is_packed = source.suffix == ".usdz"
        path = Path(folder, "figure.usdc") if is_packed else Path(folder, source.name)
        layer.Export(str(path))
        if is_packed:
            packed = path.with_suffix(".usdz")
            UsdUtils.CreateNewUsdzPackage(str(path), str(packed))
            path = packed
        return path.read_bytes()


def _change_layer(layer: Any, choose: random.Random) -> None:
    prims: list[Any] = []
    layer.Traverse("/", lambda path: prims.append(path) if path.IsPrimPath() else None)
    prims = [layer.GetPrimAtPath(path) for path in prims]
    if not prims or choose.random() < 0.05:
        key = choose.choice(list(_META))
        layer.pseudoRoot.SetInfo(key, choose.choice(_META[key]))
        return
    prim, action = choose.choice(prims), choose.random()
    paths = [other.path for other in prims]
    if action < 0.05:
        del prim.nameParent.nameChildren[prim.name]
    elif action < 0.1:
        prim.typeName = choose.choice(_TYPES)
    elif action < 0.15:
        prim.referenceList.Prepend(Sdf.Reference("", choose.choice(paths)))
    elif action < 0.2:
        _set_info(prim, _OF_PRIMS, choose)
    elif len(prim.properties):
        _change_property(choose.choice(list(prim.properties)), paths, choose)


def _set_info(spec: Any, values: dict[str, list[Any]], choose: random.Random) -> None:
    key = choose.choice(list(values))
    spec.SetInfo(key, choose.choice(values[key]))


def _change_property(spec: Any, paths: list[Any], choose: random.Random) -> None:
    action = choose.random()
    if action < 0.1:
        spec.owner.RemoveProperty(spec)
    elif isinstance(spec, Sdf.RelationshipSpec):
        spec.targetPathList.explicitItems = [choose.choice(paths)] * choose.choice((0, 1, 1, 2))
    elif action < 0.2:
        _set_info(spec, _OF_PROPERTIES, choose)
    elif action < 0.3 and len(spec.connectionPathList.explicitItems):
        spec.connectionPathList.explicitItems = [choose.choice(paths)]
    elif spec.layer.GetNumTimeSamplesForPath(spec.path):
        times = spec.layer.ListTimeSamplesForPath(spec.path)
        value = spec.layer.QueryTimeSample(spec.path, times[-1])
        spec.layer.SetTimeSample(spec.path, choose.choice([*times, *_NUMBERS]), _change_value(value, choose))
    elif spec.default is not None:
        spec.default = _change_value(spec.default, choose)


def _change_value(value: Any, choose: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, str):
        return choose.choice(_TEXTS)
    if isinstance(value, Sdf.AssetPath):
        return Sdf.AssetPath(choose.choice(_TEXTS[1:]))
    if isinstance(value, (bool, int, float)):
        return type(value)(choose.choice(_NUMBERS))
    items = list(value)
    action = choose.random()
    if type(value).__name__.endswith("Array") and action < 0.4:
        few = items[: choose.randrange(len(items) + 1)]
        return type(value)(few if action < 0.2 else items + items[: choose.randrange(8)])
    place = choose.randrange(len(items))
    items[place] = _change_value(items[place], choose)
    return type(value)(*items) if not type(value).__name__.endswith("Array") else type(value)(items)
