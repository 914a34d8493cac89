"""The archive that comfy-cli sends to the Comfy Registry: what git tracks, less what .comfyignore names."""

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LIST_FILES = ("git", "ls-files", "-z", "--cached")


def list_files(*options):
    done = subprocess.run([*LIST_FILES, *options], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.split("\0") if (REPOSITORY / name).is_file()}


def list_archive():
    """Paths of its files, sorted. git itself reads the patterns, which are those of .gitignore."""
    return sorted(list_files() - list_files("--ignored", "--exclude-from=.comfyignore"))


def unpack_archive(folder):
    """Put its files into a new folder, as an installation from the registry does."""
    for name in list_archive():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, target)
