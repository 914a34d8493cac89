"""ComfyUI nodes, one file per stage, and the list that ComfyUI loads."""

from __future__ import annotations

from .animation import AddAnimation, PreviewAnimation
from .check_rig import CheckRig
from .compat import ComfyExtension, io
from .delight import DelightPicture
from .edit_clips import EditClips
from .export import PreviewMesh, SaveMesh
from .figure import EditFigure, SaveFigure
from .generating_multiview_texture import GenerateViews
from .load_mesh import LoadMesh
from .load_motion import LoadMotion
from .mesh_generation import GenerateMesh
from .preprocessing import PreprocessPicture
from .quality import ReportQuality
from .rigging import RigCharacter
from .save_character import SaveCharacter
from .save_motion import SaveMotion
from .shape_steps import CleanMesh, DecodeShape, LoadShapeModel
from .split_sheet import SplitSheet
from .symmetrize import Symmetrize, SymmetrizeViews
from .texture_baking import ApplyTexture, BakeTexture, MergeMaterials
from .view_files import LoadViews, ReplaceViews, SaveViews
from .view_steps import ApplyIG2MV, RenderViewMaps
from .vrm_meta import MakeVrmMeta

NODES: tuple[type[io.ComfyNode], ...] = (
    PreprocessPicture,
    SplitSheet,
    EditFigure,
    LoadMesh,
    GenerateMesh,
    LoadShapeModel,
    DecodeShape,
    CleanMesh,
    RenderViewMaps,
    DelightPicture,
    ApplyIG2MV,
    GenerateViews,
    SymmetrizeViews,
    LoadViews,
    ReplaceViews,
    BakeTexture,
    ApplyTexture,
    Symmetrize,
    MergeMaterials,
    CheckRig,
    RigCharacter,
    AddAnimation,
    LoadMotion,
    EditClips,
    SaveFigure,
    SaveViews,
    SaveMesh,
    SaveCharacter,
    SaveMotion,
    MakeVrmMeta,
    PreviewMesh,
    PreviewAnimation,
    ReportQuality,
)


class Character3DExtension(ComfyExtension):
    """The nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order of the stages."""
        return list(NODES)
