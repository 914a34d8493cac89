"""FBX objects and their connections, as nodes of the container in fbx_binary.py."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..types import Float64Array, Int64Array
from .fbx_binary import CREATION_TIME, FILE_ID, VERSION, FbxNode

CREATOR = "Character3D"
ROOT_ID = 0
_FIRST_ID = 1_000_000
_DOCUMENT_ID = np.int64(999_999)
KTIME_PER_SECOND = 46_186_158_000
_FRAME_RATE_24, _FRAME_RATE_30 = 11, 6
"""FBX's enum values of the frame rate, for files without and with takes."""

# Type, label and flags of a property in Autodesk's files, by the kind of its value.
_PROPERTY_FIELDS = {
    "integer": ("int", "Integer", ""),
    "number": ("double", "Number", ""),
    "boolean": ("bool", "", ""),
    "enum": ("enum", "", ""),
    "time": ("KTime", "Time", ""),
    "text": ("KString", "", ""),
    "url": ("KString", "Url", ""),
    "color": ("Color", "", "A"),
    "color_rgb": ("ColorRGB", "Color", ""),
    "factor": ("Number", "", "A"),
    "object": ("object", "", ""),
    "Lcl Translation": ("Lcl Translation", "", "A"),
    "Lcl Rotation": ("Lcl Rotation", "", "A"),
    "Lcl Scaling": ("Lcl Scaling", "", "A"),
}


def make_properties(*properties: tuple[object, ...]) -> FbxNode:
    """Return a Properties70 block of (name, kind, *values); kinds are the keys of _PROPERTY_FIELDS."""
    rows = [FbxNode("P", (name, *_PROPERTY_FIELDS[str(kind)], *values)) for name, kind, *values in properties]
    return FbxNode("Properties70", (), tuple(rows))


def flatten_matrix(matrix: npt.NDArray[np.floating]) -> Float64Array:
    """Flatten a matrix (4, 4) for column vectors to FBX's 16 numbers, column by column."""
    return np.ascontiguousarray(matrix.T, dtype=np.float64).reshape(16)


def seconds_to_ktime(seconds: Float64Array) -> Int64Array:
    """Convert seconds (T,) to KTime (T,), integer units of 1/46,186,158,000 second."""
    return np.rint(seconds * KTIME_PER_SECOND).astype(np.int64)


class SceneBuilder:
    """Collects objects, numbers them in order of creation, and records their connections."""

    def __init__(self) -> None:
        self._objects: list[FbxNode] = []
        self._connections: list[FbxNode] = []
        self._takes: list[tuple[str, np.int64]] = []

    def add(self, kind: str, name: str, fbx_class: str, subclass: str, *children: FbxNode) -> int:
        """Add an object and return its id. In the file it is named `name`, bytes 0 and 1, `fbx_class`."""
        identity = _FIRST_ID + len(self._objects)
        full_name = f"{name}\x00\x01{fbx_class}"
        self._objects.append(FbxNode(kind, (np.int64(identity), full_name, subclass), children))
        return identity

    def connect(self, child: int, parent: int, parent_property: str = "") -> None:
        """Connect `child` to `parent`, or to one of its properties."""
        ends = (np.int64(child), np.int64(parent))
        kind = ("OP", *ends, parent_property) if parent_property else ("OO", *ends)
        self._connections.append(FbxNode("C", kind))

    def add_take(self, name: str, stop: np.int64) -> None:
        """Add an animation stack that ends at `stop` (KTime) to the list of takes."""
        self._takes.append((name, stop))

    def document(self) -> list[FbxNode]:
        """Return the top-level nodes of the file."""
        return [
            _make_header_extension(),
            FbxNode("FileId", (FILE_ID,)),
            FbxNode("CreationTime", (CREATION_TIME,)),
            FbxNode("Creator", (CREATOR,)),
            _make_global_settings(self._takes),
            _make_documents(self._takes[0][0] if self._takes else ""),
            FbxNode("References"),
            self._make_definitions(),
            FbxNode("Objects", (), tuple(self._objects)),
            FbxNode("Connections", (), tuple(self._connections)),
            _make_takes(self._takes),
        ]

    def _make_definitions(self) -> FbxNode:
        counts = Counter({"GlobalSettings": 1})
        counts.update(item.name for item in self._objects)
        types = (FbxNode("ObjectType", (kind,), (FbxNode("Count", (n,)),)) for kind, n in counts.items())
        children = (FbxNode("Version", (100,)), FbxNode("Count", (counts.total(),)), *types)
        return FbxNode("Definitions", (), children)


def _make_header_extension() -> FbxNode:
    # The date of CREATION_TIME, so that the same character gives the same bytes.
    stamp = {"Version": 1000, "Year": 1970, "Month": 1, "Day": 1, "Hour": 10, "Minute": 0, "Second": 0}
    stamp["Millisecond"] = 0
    metadata = ("Title", "Subject", "Author", "Keywords", "Revision", "Comment")
    info = FbxNode(
        "SceneInfo",
        ("GlobalInfo\x00\x01SceneInfo", "UserData"),
        (
            FbxNode("Type", ("UserData",)),
            FbxNode("Version", (100,)),
            FbxNode("MetaData", (), (FbxNode("Version", (100,)), *(FbxNode(k, ("",)) for k in metadata))),
            make_properties(
                ("Original|ApplicationName", "text", CREATOR), ("LastSaved|ApplicationName", "text", CREATOR)
            ),
        ),
    )
    children = (
        FbxNode("FBXHeaderVersion", (1003,)),
        FbxNode("FBXVersion", (VERSION,)),
        FbxNode("EncryptionType", (0,)),
        FbxNode("CreationTimeStamp", (), tuple(FbxNode(k, (v,)) for k, v in stamp.items())),
        FbxNode("Creator", (CREATOR,)),
        info,
    )
    return FbxNode("FBXHeaderExtension", (), children)


def _make_global_settings(takes: list[tuple[str, np.int64]]) -> FbxNode:
    """+Y up, +Z towards the viewer, +X right; units of one centimetre; the time span of the longest take."""
    axes = {"UpAxis": 1, "UpAxisSign": 1, "FrontAxis": 2, "FrontAxisSign": 1, "CoordAxis": 0}
    axes |= {"CoordAxisSign": 1, "OriginalUpAxis": 1, "OriginalUpAxisSign": 1}
    stop = max((stop for _, stop in takes), default=np.int64(KTIME_PER_SECOND))
    settings = make_properties(
        *((name, "integer", value) for name, value in axes.items()),
        ("UnitScaleFactor", "number", 1.0),
        ("OriginalUnitScaleFactor", "number", 1.0),
        ("AmbientColor", "color_rgb", 0.0, 0.0, 0.0),
        ("DefaultCamera", "text", "Producer Perspective"),
        ("TimeMode", "enum", _FRAME_RATE_30 if takes else _FRAME_RATE_24),
        ("TimeSpanStart", "time", np.int64(0)),
        ("TimeSpanStop", "time", stop),
        ("CustomFrameRate", "number", 24.0),
    )
    return FbxNode("GlobalSettings", (), (FbxNode("Version", (1000,)), settings))


def _make_documents(active_stack: str) -> FbxNode:
    document = FbxNode(
        "Document",
        (_DOCUMENT_ID, "", "Scene"),
        (
            make_properties(("SourceObject", "object"), ("ActiveAnimStackName", "text", active_stack)),
            FbxNode("RootNode", (np.int64(ROOT_ID),)),
        ),
    )
    return FbxNode("Documents", (), (FbxNode("Count", (1,)), document))


def _make_takes(takes: list[tuple[str, np.int64]]) -> FbxNode:
    nodes = [FbxNode("Current", (takes[0][0] if takes else "",))]
    for name, stop in takes:
        span = np.int64(0), stop
        file_name = FbxNode("FileName", (f"{name}.tak",))
        times = FbxNode("LocalTime", span), FbxNode("ReferenceTime", span)
        nodes.append(FbxNode("Take", (name,), (file_name, *times)))
    return FbxNode("Takes", (), tuple(nodes))
