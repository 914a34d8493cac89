"""Weight files in ComfyUI's model folders, to which the pack's own are added: listing, finding, reading."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import comfy.utils
import folder_paths

from ..pipeline.errors import WeightsError
from ..pipeline.weights import OWN_MODEL_FOLDERS
from .checkpoint_file import read_checkpoint

for _folder in OWN_MODEL_FOLDERS:
    folder_paths.add_model_folder_path(_folder, os.path.join(folder_paths.models_dir, _folder))


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
        raise WeightsError(f"{name} cannot be read: {explain_unreadable(path)}") from error
    return weights


def read_checkpoint_weights(path: Path, name: str) -> Mapping[str, Any]:
    """Read as read_weights does, or a pickle of weights and the settings of their training."""
    try:
        return read_weights(path, name)
    except WeightsError as refusal:
        if not zipfile.is_zipfile(path):
            raise
        try:
            whole = read_checkpoint(path)
        except (RuntimeError, pickle.UnpicklingError):
            raise refusal from None
    weights: Mapping[str, Any] = whole.get("state_dict", whole) if isinstance(whole, Mapping) else whole
    return weights


def explain_unreadable(path: Path) -> str:
    """Say what a file is that no reader of weights can read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
    if not size:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; download the file itself"
    if start.lstrip().startswith((b"<!", b"<html", b"<HTML", b"<?xml")):
        return "it is a web page; download the file itself"
    is_safetensors = len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size
    if is_safetensors and path.suffix.lower() != ".safetensors":
        return "it is a safetensors file; rename it to end with .safetensors"
    return "it is damaged or cut off, is no file of weights, or holds code, which is never run"
