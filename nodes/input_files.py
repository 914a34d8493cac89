"""The files below ComfyUI's input folder, listed without reading folders that have not changed.

ComfyUI asks for the options of every node on its event loop, whenever a page of the editor loads.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import folder_paths

_MOST_FOLDERS = 1_000
"""Folders beyond this number are not listed; their files can still be named."""
_CLOCK_STEP_NS = 2_000_000_000
"""The coarsest time stamps of a file system (FAT): a folder may change twice within one step."""


@dataclass(frozen=True)
class _Folder:
    """A folder's entries, and the time stamp that says whether they are still those."""

    modified: int
    is_settled: bool
    files: tuple[str, ...]
    folders: tuple[str, ...]


_cache: dict[str, _Folder] = {}


def is_inside(path: str, folder: str) -> bool:
    """Whether a path lies below the folder once `..` and all links, of both, are followed."""
    try:
        folder = os.path.realpath(folder)
        return os.path.commonpath((os.path.realpath(path), folder)) == folder
    except ValueError:  # another drive of Windows, or a null byte
        return False


def find_input_file(name: str, suffixes: tuple[str, ...]) -> Path | None:
    """The path of a file of these kinds below the input folder; None if there is none of that name."""
    return find_file(folder_paths.get_input_directory(), name, suffixes)


def find_file(folder: str, name: str, suffixes: tuple[str, ...]) -> Path | None:
    """The path of a file of these kinds below a folder; None if there is none of that name."""
    path = os.path.normpath(os.path.join(folder, name))
    is_one = is_inside(path, folder) and path.lower().endswith(suffixes) and os.path.isfile(path)
    return Path(path) if is_one else None


def list_input_files(suffixes: tuple[str, ...]) -> list[str]:
    """Sorted paths with forward slashes, relative to the input folder.

    Links to folders are not followed, and links to files only where they stay below the input folder.
    """
    root = folder_paths.get_input_directory()
    paths = (os.path.relpath(path, root) for path in _walk(root) if path.lower().endswith(suffixes))
    return sorted(path.replace(os.sep, "/") for path in paths)


def _walk(root: str) -> Iterator[str]:
    """All files below `root`, breadth first."""
    waiting: deque[str] = deque([root])
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_FOLDERS:
        path = waiting.popleft()
        seen.add(path)
        folder = _read_folder(path)
        yield from (os.path.join(path, name) for name in folder.files)
        waiting.extend(os.path.join(path, name) for name in folder.folders)
    for path in _cache.keys() - seen:
        del _cache[path]


def _read_folder(path: str) -> _Folder:
    """The folder's entries from the cache, or from the disk if it has changed; empty if it is gone."""
    try:
        modified = os.stat(path).st_mtime_ns
        known = _cache.get(path)
        if known is None or known.modified != modified or not known.is_settled:
            known = _cache[path] = _scan(path, modified)
    except OSError:
        return _Folder(0, False, (), ())
    return known


def _scan(path: str, modified: int) -> _Folder:
    files, folders = [], []
    is_settled = time.time_ns() - modified > _CLOCK_STEP_NS
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif not entry.is_symlink() or is_inside(entry.path, folder_paths.get_input_directory()):
                files.append(entry.name)
    return _Folder(modified, is_settled, tuple(files), tuple(folders))
