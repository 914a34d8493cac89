"""Weight files in ComfyUI's model folders: listing, finding and reading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import comfy.utils
import folder_paths

from ..pipeline.errors import WeightsError


class WeightsFile(NamedTuple):
    """A file in ComfyUI's model folders. Hashable; its value changes when the file is rewritten.

    modified: nanoseconds since 1970. size: bytes.
    """

    path: Path
    name: str
    modified: int
    size: int


def list_files(folders: Iterable[str]) -> set[str]:
    """List the files in those model folders that the running ComfyUI knows; it caches the scan."""
    known = [folder for folder in folders if folder in folder_paths.folder_names_and_paths]
    return {name for folder in known for name in folder_paths.get_filename_list(folder)}


def find_file(folders: Iterable[str], name: str) -> WeightsFile:
    """Find a listed file in the first model folder that has it. WeightsError if none has."""
    for folder in folders:
        path = folder_paths.get_full_path(folder, name)
        if path:
            state = Path(path).stat()
            return WeightsFile(Path(path), name, state.st_mtime_ns, state.st_size)
    raise WeightsError(f"{name} is not in {' or '.join(f'models/{folder}' for folder in folders)}")


def read_weights(path: Path, name: str) -> Mapping[str, Any]:
    """Read safetensors, or a pickle restricted to weights. WeightsError if the file is damaged."""
    try:
        weights: Mapping[str, Any] = comfy.utils.load_torch_file(str(path), safe_load=True)
    except Exception as error:  # the readers of three formats raise many types on damaged bytes
        raise WeightsError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error
    return weights
