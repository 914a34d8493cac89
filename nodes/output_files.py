"""Names for files in ComfyUI's output folder, each reserved before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import folder_paths

from .compat import file_3d_outputs, file_3d_values, io


@dataclass(frozen=True)
class OutputFile:
    """A reserved file: its path on disk and how ComfyUI's /view names it."""

    path: Path
    subfolder: str

    @property
    def relative(self) -> str:
        """Path below the output folder, with forward slashes."""
        return f"{self.subfolder}/{self.path.name}" if self.subfolder else self.path.name

    @property
    def entry(self) -> dict[str, str]:
        """The file as ComfyUI's ui outputs name files."""
        return {"filename": self.path.name, "subfolder": self.subfolder, "type": "output"}


def reserve_counted(prefix: str, suffix: str) -> OutputFile:
    """Create an empty `<prefix>_<counter>_<suffix>` that nobody else has; `prefix` may hold a subfolder."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory()
    )
    while True:
        file = OutputFile(Path(folder) / f"{name}_{counter:05}_{suffix}", subfolder.replace("\\", "/"))
        try:
            file.path.touch(exist_ok=False)
        except FileExistsError:
            counter += 1
        else:
            return file


def reserve_beside(model_file: str, suffix: str) -> OutputFile:
    """Create an empty `<stem of model_file><suffix>` beside a file of the output folder."""
    output, relative = Path(folder_paths.get_output_directory()).resolve(), Path(model_file)
    path = (output / relative).with_name(relative.stem + suffix)
    if not path.resolve().is_relative_to(output):
        raise ValueError(f"model_file: expected a path below the output folder, found {model_file!r}")
    path.touch()
    return OutputFile(path, relative.parent.as_posix() if relative.parent.name else "")


def model_outputs() -> list[io.Output]:
    """The outputs of a node that writes a model's file."""
    path = io.String.Output(display_name="model_file", tooltip="Path below the output folder.")
    return [path, *file_3d_outputs()]


def saved_model(file: OutputFile) -> io.NodeOutput:
    """The values that belong to `model_outputs`, and the file for the editor and the job."""
    ui = {"3d": [file.entry], "character3d_file": [file.entry]}
    return io.NodeOutput(file.relative, *file_3d_values(file.path), ui=ui)
