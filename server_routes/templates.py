"""The workflows that the editor offers under Templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Not resolved: if the pack is a symbolic link in custom_nodes, ComfyUI knows it by the link's name.
_PACK = Path(__file__).parent.parent


def serve_workflows(server: Any) -> None:
    """Serve workflows/ where the editor looks for a pack's templates.

    ComfyUI lists them by itself, but serves the files from the first of a pack's folders that it knows,
    which here is examples/, with the pictures.
    """
    if not server.app.frozen:  # the pack may be imported again while the server runs
        server.app.router.add_static(f"/api/workflow_templates/{_PACK.name}", _PACK / "workflows")
