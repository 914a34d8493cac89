"""POST /character/rig and POST /character/animate: jobs that rig a mesh of the client's own.

They are jobs like any other; their stages are `preprocessing`, which reads the mesh, and `rigging`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..pipeline.conventions import MESH_SUFFIXES, REST_POSES
from .errors import unsupported_format
from .parameters import Parameters
from .rig_check import FILES as MESH_FILES
from .upload import FILES, MESH, FilePart, Form

RIG_PATH, ANIMATE_PATH = "/character/rig", "/character/animate"
RIG_FILES: Mapping[str, FilePart] = {**MESH_FILES, "motion": FILES["motion"]}
ANIMATE_FILES: Mapping[str, FilePart] = {
    **MESH_FILES,
    "motion": FILES["motion"]._replace(missing="Missing motion. Send a BVH, FBX, GLB, VRMA or SMPL npz file"),
}

OF_PICTURES = frozenset(
    {
        *("prompt", "negative_prompt", "image_size", "mesh_input_size", "outline_size", "figure", "views"),
        *("steps", "mesh_model", "mesh_steps", "octree_resolution", "face_count", "guidance_scale"),
        *("cfg_scale", "seed", "model_name", "enable_rigging", "corrections", "face"),
    }
)
"""Fields of POST /generate_character that these jobs do not use; they take all others."""

MESH_DEFAULTS: Mapping[str, Any] = {"pose_type": REST_POSES[-1]}
"""Fields with other defaults than there: nothing is known of the pose of a mesh."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def read_mesh_suffix(form: Form) -> str:
    """The suffix of a form's mesh; the mesh itself is read in the job.

    Raises ApiError 415 for a name that says no format which is read.
    """
    found = _SUFFIX.search(form.filenames[MESH])
    suffix = found[0].lower() if found else ""
    if suffix not in MESH_SUFFIXES:
        message = f"Mesh format not supported. Send a file whose name ends in {', '.join(MESH_SUFFIXES)}"
        raise unsupported_format(message, parameter=MESH, provided=suffix, allowed=list(MESH_SUFFIXES))
    return suffix


def adapt_parameters(parameters: Parameters) -> Parameters:
    """Those of a job that takes a mesh: it is rigged in any case, and what is not used is said."""
    unused = (f"{name}: not used for a mesh" for name in sorted(parameters.sent & OF_PICTURES))
    defaults = {name: value for name, value in MESH_DEFAULTS.items() if name not in parameters.sent}
    values = {**parameters.values, "enable_rigging": True, **defaults}
    return replace(parameters, values=values, warnings=(*parameters.warnings, *unused))
