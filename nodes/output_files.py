"""Files in ComfyUI's output folder: their names, and writing them atomically."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import folder_paths

from ..pipeline import formats
from .compat import file_3d_outputs, file_3d_values, io
from .input_files import is_inside


@dataclass(frozen=True)
class OutputFile:
    """A saved file: its path on disk and how ComfyUI's /view refers to it."""

    path: Path
    subfolder: str

    @property
    def relative(self) -> str:
        """Path below the output folder, with forward slashes."""
        return f"{self.subfolder}/{self.path.name}" if self.subfolder else self.path.name

    @property
    def entry(self) -> dict[str, str]:
        """The file in the form that ComfyUI's ui outputs use."""
        return {"filename": self.path.name, "subfolder": self.subfolder, "type": "output"}


def save_counted(prefix: str, suffix: str, encode: Callable[[str], bytes]) -> OutputFile:
    """Save a new `<prefix>_<counter>_<suffix>`; `prefix` may include a subfolder.

    `encode` gets the file's stem and returns its bytes. If it fails, or writing does, no file is left.
    ValueError if `prefix` leads out of the output folder, by whatever way.
    """
    folder, name, counter, subfolder = _read_prefix(prefix)
    while True:
        path = folder / f"{name}_{counter:05}_{suffix}"
        with contextlib.suppress(FileExistsError):
            if not path.exists():
                formats.create_file(path, encode(path.stem))
                return OutputFile(path, subfolder)
        counter += 1


def save_folder(prefix: str, files: Mapping[str, bytes]) -> OutputFile:
    """Save files in a new folder `<prefix>_<counter>_`, which is returned; errors as in `save_counted`."""
    folder, name, counter, subfolder = _read_prefix(prefix)
    while True:
        path = folder / f"{name}_{counter:05}_"
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            for file, data in files.items():
                formats.create_file(path / file, data)
            return OutputFile(path, subfolder)
        counter += 1


def _read_prefix(prefix: str) -> tuple[Path, str, int, str]:
    """Folder, name, first free counter, and the folder below the output folder."""
    output = folder_paths.get_output_directory()
    if not is_inside(os.path.join(output, os.path.dirname(os.path.normpath(prefix))), output):
        raise ValueError(f"filename_prefix: expected a path below the output folder, found {prefix!r}")
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, output)
    return Path(folder), name, counter, subfolder.replace("\\", "/")


def save_beside(model_file: str, suffix: str, encode: Callable[[str], bytes]) -> OutputFile:
    """Save `<stem of model_file><suffix>` next to a file in the output folder, replacing an older one.

    `encode` as in `save_counted`. ValueError if `model_file` lies outside the output folder.
    """
    output, relative = folder_paths.get_output_directory(), Path(model_file)
    path = Path(output, relative.parent, relative.stem + suffix)
    if not is_inside(str(path), output):
        raise ValueError(f"model_file: expected a path below the output folder, found {model_file!r}")
    formats.replace_file(path, encode(path.stem))
    return OutputFile(path, relative.parent.as_posix() if relative.parent.name else "")


def model_outputs(kind: str = "Any", is_output_list: bool = False) -> list[io.Output]:
    """The outputs of a node that saves a model file, or a list of them. kind: as in file_3d_outputs."""
    path = io.String.Output(
        display_name="model_file", tooltip="Path below the output folder.", is_output_list=is_output_list
    )
    return [path, *file_3d_outputs(kind, is_output_list)]


def saved_model(file: OutputFile) -> io.NodeOutput:
    """The values for `model_outputs`, and the ui entries that the editor and the REST job read."""
    return io.NodeOutput(file.relative, *file_3d_values(file.path), ui=_list_models([file]))


def saved_models(files: Sequence[OutputFile]) -> io.NodeOutput:
    """As `saved_model`, for outputs that are lists."""
    columns = zip(*((file.relative, *file_3d_values(file.path)) for file in files), strict=True)
    return io.NodeOutput(*map(list, columns), ui=_list_models(files))


def _list_models(files: Sequence[OutputFile]) -> dict[str, list[dict[str, str]]]:
    entries = [file.entry for file in files]
    return {"3d": entries, "character3d_file": entries}
