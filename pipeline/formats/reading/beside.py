"""Files that a model names, found below its own folder only."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def find_beside(model: Path, name: str) -> Path:
    """The file of that name below the model's folder; else the one beside it with the same last name.

    Paths of another machine, and names in another case, lead to a file beside the model. OSError if there
    is none.
    """
    place = PurePosixPath(name.strip().replace("\\", "/"))
    is_inside = not place.is_absolute() and ".." not in place.parts and ":" not in name[:3]
    if is_inside and (model.parent / place).is_file():
        return model.parent / place
    wanted = place.name.lower()
    for path in sorted(model.parent.iterdir()):
        if path.name.lower() == wanted and path.is_file():
            return path
    raise FileNotFoundError(name)
