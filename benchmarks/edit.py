"""Seconds from a painted view to new files, on a warm server.

    python benchmarks/edit.py [PICTURE]

Sets up ComfyUI like quickstart.py and starts it on a free port. One job with the defaults makes the
character; then a patch is painted onto its back view, in another color each time, and sent back three times.
Closing line: `job J edit E`, seconds of the job and median seconds of the edits.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from client import Client  # noqa: E402
from launcher.environment import prepare_own_comfyui  # noqa: E402
from launcher.installation import link_pack  # noqa: E402
from launcher.server import find_free_port, run_server  # noqa: E402

_COLORS = ((200, 30, 30, 255), (30, 160, 60, 255), (40, 60, 200, 255))


def paint_back(archive: Path, color: tuple[int, int, int, int]) -> Path:
    """The back view of a job's views, with a patch of a color in its middle; beside the archive."""
    with zipfile.ZipFile(archive) as views:
        views.extract("back.png", archive.parent)
    picture = Image.open(archive.parent / "back.png").convert("RGBA")
    width, height = picture.size
    picture.paste(color, (int(0.45 * width), int(0.4 * height), int(0.55 * width), int(0.5 * height)))
    painted = archive.parent / "painted.png"
    picture.save(painted)
    return painted


def main(picture: Path) -> None:
    """Run the job and its edits and print their seconds."""
    with tempfile.TemporaryDirectory() as folder:
        installation = dataclasses.replace(prepare_own_comfyui(), base=Path(folder))
        link_pack(installation.base / "custom_nodes")
        with run_server(installation, find_free_port()) as server:
            client, started = Client(server.address), time.monotonic()
            job = client.wait(client.generate(picture)["job_id"])
            seconds, edits = time.monotonic() - started, []
            name = next(item["name"] for item in job["downloads"] if item["result"] == "views")
            archive = client.download(job["job_id"], name, Path(folder))
            for color in _COLORS:
                painted, started = paint_back(archive, color), time.monotonic()
                edited = client.wait(client.edit_views(job["job_id"], {"back": painted})["job_id"])
                edits.append(time.monotonic() - started)
                print(f"{edited['status']} {edits[-1]:.1f}")
    print(f"job {seconds:.1f} edit {statistics.median(edits):.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "examples" / "elf.png")
