"""The workflows that the editor offers under Templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Not resolved: where the pack is a link in custom_nodes, the link's name is the pack's.
_PACK = Path(__file__).parent.parent


def serve_workflows(server: Any) -> None:
    """Serve workflows/ where the editor asks for a pack's templates.

    ComfyUI lists them by itself, but looks for the files in the first of a pack's folders that it
    knows, which here is examples/, with the pictures.
    """
    if not server.app.frozen:  # the pack may be imported once more while the server runs
        server.app.router.add_static(f"/api/workflow_templates/{_PACK.name}", _PACK / "workflows")
