"""Files of weights in ComfyUI's model folders: listed, found by name, and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import comfy.utils
import folder_paths

from ..pipeline.errors import WeightsError


class WeightsFile(NamedTuple):
    """A file by its name in ComfyUI's folders. Hashable, and another value once the file was written anew."""

    path: Path
    name: str
    modified: int
    size: int


def list_files(folders: Iterable[str]) -> set[str]:
    """Names in those of the model folders that the running ComfyUI has. It scans them, and caches."""
    known = [folder for folder in folders if folder in folder_paths.folder_names_and_paths]
    return {name for folder in known for name in folder_paths.get_filename_list(folder)}


def find_file(folders: Iterable[str], name: str) -> WeightsFile:
    """Find a listed name in the first of the model folders that has it. WeightsError where none has."""
    for folder in folders:
        path = folder_paths.get_full_path(folder, name)
        if path:
            state = Path(path).stat()
            return WeightsFile(Path(path), name, state.st_mtime_ns, state.st_size)
    raise WeightsError(f"{name} is not in {' or '.join(f'models/{folder}' for folder in folders)}")


def read_weights(path: Path, name: str) -> Mapping[str, Any]:
    """Read safetensors, or a pickle as weights only. WeightsError: damaged."""
    try:
        weights: Mapping[str, Any] = comfy.utils.load_torch_file(str(path), safe_load=True)
    except Exception as error:  # whatever the readers of three formats raise on damaged bytes
        raise WeightsError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    return weights
