"""Write locales/en from the nodes' schemas.

    CHARACTER3D_COMFYUI=FOLDER python scripts/locales.py

FOLDER is a ComfyUI of 2026, whose nodes have all inputs and outputs; the Python is its own. A test fails
while the files differ from what this would write, and while another language lacks one of their keys.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LOCALES = REPOSITORY / "locales"


def list_texts(schemas: Sequence[Any]) -> dict[str, Any]:
    """nodeDefs.json: of each node its name and description, and name and tooltip of each input and output."""
    return {
        schema.node_id: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {item.id: {"name": item.id, "tooltip": item.tooltip} for item in schema.inputs},
            "outputs": {
                str(number): {"name": item.display_name, "tooltip": item.tooltip}
                for number, item in enumerate(schema.outputs)
            },
        }
        for schema in schemas
    }


def list_common_texts(schemas: Sequence[Any]) -> dict[str, Any]:
    """main.json: the names of the categories and of the pack's own types."""
    categories = [part for schema in schemas for part in schema.category.split("/")]
    types = [item.io_type for schema in schemas for item in schema.outputs]
    own = [kind for kind in types if kind == "TRIMESH" or kind.startswith("C3D_")]
    return {
        "nodeCategories": {name: name for name in dict.fromkeys(categories)},
        "dataTypes": {name: name for name in dict.fromkeys(own)},
    }


def write_texts(texts: Mapping[str, Any]) -> str:
    """As the file has it."""
    return json.dumps(texts, indent=2, ensure_ascii=False) + "\n"


def load_schemas(comfyui: str) -> list[Any]:
    """The schemas of all nodes, in that ComfyUI."""
    spec = importlib.util.spec_from_file_location(
        "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    assert spec is not None
    sys.modules["character3d"] = importlib.util.module_from_spec(spec)
    sys.path[0] = comfyui  # in place of this script's folder
    importlib.import_module("comfy.cli_args").args.cpu = True
    return [node.GET_SCHEMA() for node in importlib.import_module("character3d.nodes").NODES]


if __name__ == "__main__":
    schemas = load_schemas(os.environ["CHARACTER3D_COMFYUI"])
    for name, texts in (("nodeDefs", list_texts(schemas)), ("main", list_common_texts(schemas))):
        (LOCALES / "en" / f"{name}.json").write_text(write_texts(texts), encoding="utf-8")
