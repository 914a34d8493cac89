"""Materials of a USD stage: values and textures of a UsdPreviewSurface. usd_worker.py imports it alone.

Source: the UsdPreviewSurface proposal 2.6 (openusd.org).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pxr import Ar, Sdf, Usd, UsdShade

_NOW = Usd.TimeCode.EarliestTime()
_INPUTS = {
    "base_color": "diffuseColor",
    "emissive": "emissiveColor",
    "normal": "normal",
    "occlusion": "occlusion",
    "metallic": "metallic",
    "roughness": "roughness",
    "opacity": "opacity",
}
"""Our roles and the inputs of a UsdPreviewSurface."""
_WRAP = {"clamp": "CLAMP", "black": "CLAMP", "mirror": "MIRROR"}


class Materials:
    """Describes each material once, by its path; `described` are those so far.

    Pictures go to `arrays`, what cannot be read to `warnings`.
    """

    def __init__(self, path: Path, arrays: dict[str, Any], warnings: set[str]) -> None:
        self._path, self._arrays, self._warnings = path, arrays, warnings
        self._numbers: dict[str, int] = {}
        self.described: list[dict[str, Any]] = []

    def number(self, material: Any) -> int:
        """The place of a material in `described`; -1 for none."""
        if not material:
            return -1
        path = str(material.GetPath())
        if path not in self._numbers:
            self._numbers[path] = len(self.described)
            self.described.append(self._describe_material(material))
        return self._numbers[path]

    def _describe_material(self, material: Any) -> dict[str, Any]:
        """Values and textures of its UsdPreviewSurface, by our roles."""
        name = material.GetPrim().GetName()
        surface = material.ComputeSurfaceSource()[0]
        values: dict[str, Any] = {}
        textures: dict[str, Any] = {}
        if not surface or surface.GetShaderId() != "UsdPreviewSurface":
            self._warnings.add(f"the material {name!r} is left out: it has no UsdPreviewSurface")
        for role, wanted in _INPUTS.items() if surface else ():
            given = surface.GetInput(wanted)
            if not given:
                continue
            source = next(iter(given.GetValueProducingAttributes()), None)
            shader = UsdShade.Shader(source.GetPrim()) if source else None
            if source and shader and shader.GetShaderId() == "UsdUVTexture":
                textures[role] = self._describe_texture(shader, source.GetBaseName())
            elif source is not None and source.Get(_NOW) is not None:
                value = source.Get(_NOW)
                values[role] = [float(part) for part in value] if hasattr(value, "__len__") else float(value)
        threshold = (
            surface.GetInput("opacityThreshold").Get(_NOW)
            if surface and surface.GetInput("opacityThreshold")
            else 0
        )
        uvs = next((texture["uvs"] for texture in textures.values()), "st")
        return {
            "name": name,
            "values": values,
            "textures": textures,
            "threshold": float(threshold or 0),
            "uvs": uvs,
            "two_sided": False,
        }

    def _describe_texture(self, shader: Any, output: str) -> dict[str, Any]:
        """Where the picture is, how uvs address it, and what becomes of its values."""
        found = {item.GetBaseName(): item for item in shader.GetInputs()}
        asset = found["file"].Get(_NOW) if "file" in found else None
        name, key = "", None
        if isinstance(asset, Sdf.AssetPath):
            name, resolved = asset.path, asset.resolvedPath
            if Ar.IsPackageRelativePath(resolved):
                opened = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(resolved))
                key = f"picture{len(self._arrays)}"
                self._arrays[key] = (
                    np.frombuffer(opened.GetBuffer(), np.uint8) if opened else np.zeros(0, np.uint8)
                )
            elif resolved and Path(resolved).resolve().is_relative_to(self._path.resolve().parent):
                name = Path(resolved).resolve().relative_to(self._path.resolve().parent).as_posix()
        wrap = [
            _WRAP.get(str(found[axis].Get(_NOW)) if axis in found else "", "REPEAT")
            for axis in ("wrapS", "wrapT")
        ]
        uvs, transform = self._follow_uvs(found.get("st"))
        scale, bias = (
            [float(part) for part in found[kind].Get(_NOW)]
            if kind in found and found[kind].Get(_NOW)
            else default
            for kind, default in (("scale", [1.0] * 4), ("bias", [0.0] * 4))
        )
        return {"content": key, "names": [name], "wrap": wrap, "channel": output, "uvs": uvs,
                "transform": transform, "scale": scale, "bias": bias}  # fmt: skip

    def _follow_uvs(self, given: Any) -> tuple[str, Any]:
        """The primvar behind a texture's `st`, and the transforms on the way, (3, 3) for columns or None."""
        name, transform = "st", None
        while given:
            source = given.GetConnectedSource()
            shader = UsdShade.Shader(source[0].GetPrim()) if source else None
            if not shader:
                break
            kind = shader.GetShaderId()
            if kind == "UsdTransform2d":
                own = _read_transform(shader)
                transform = (own if transform is None else np.array(transform) @ own).tolist()
                given = shader.GetInput("in")
            else:
                named = shader.GetInput("varname") if kind and kind.startswith("UsdPrimvarReader") else None
                value = (
                    next((item.Get(_NOW) for item in named.GetValueProducingAttributes()), None)
                    if named
                    else None
                )
                name = str(value) if value else name
                break
        return name, transform


def _read_transform(shader: Any) -> Any:
    """UsdTransform2d: scaled, then turned, then moved."""
    given = {item.GetBaseName(): item.Get(_NOW) for item in shader.GetInputs()}
    angle = np.radians(float(given.get("rotation") or 0))
    made = np.eye(3)
    cosine, sine = np.cos(angle), np.sin(angle)
    made[:2, :2] = np.array(((cosine, -sine), (sine, cosine))) * (given.get("scale") or (1, 1))
    made[:2, 2] = given.get("translation") or (0, 0)
    return made
