"""Make the studio's font for systems without a Chinese one: the characters of its words, of Noto Sans SC.

    pip install fonttools==4.68.0 brotli==1.2.1
    python scripts/studio_font.py

Run it after a change of studio/words/zh.json. Writes studio/fonts/noto-sans-sc.woff2 and its licence, the SIL
Open Font License, from an npm package, of whose archive npm checks the hash. Needs npm.
"""

from __future__ import annotations

import logging
import subprocess
import tarfile
import tempfile
from pathlib import Path

from fontTools import subset

STUDIO = Path(__file__).resolve().parent.parent / "studio"
FONTS = STUDIO / "fonts"
PACKAGE = "@fontsource/noto-sans-sc@5.3.0"
WHOLE = "package/files/noto-sans-sc-chinese-simplified-400-normal.woff2"
NAMES = [0, 1, 2, 3, 4, 5, 6, 13, 14]
"""Entries of the font's name table that stay: also those of its copyright and licence."""

log = logging.getLogger("character3d")


def list_characters() -> str:
    """The characters beyond ASCII that the page says in Chinese, and on the button that leads there."""
    texts = (STUDIO / "words" / "zh.json", STUDIO / "words.js")
    found = {character for text in texts for character in text.read_text(encoding="utf-8")}
    return "".join(sorted(character for character in found if not character.isascii()))


def unpack_package(folder: Path) -> None:
    """Fetch the package and unpack the whole font, and the licence beside the page's."""
    command = ["npm", "pack", "--silent", PACKAGE]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(folder / done.stdout.split()[-1]) as tar:
        for name, target in {WHOLE: folder / "whole.woff2", "package/LICENSE": FONTS / "LICENSE"}.items():
            member = tar.extractfile(name)
            if member is None:
                raise FileNotFoundError(f"{PACKAGE} has no file {name}")
            target.write_bytes(member.read())


def write_subset(whole: Path, target: Path) -> None:
    """Write the font with the page's characters alone."""
    options = subset.Options(flavor="woff2", layout_features=[], hinting=False, name_IDs=NAMES)
    font = subset.load_font(str(whole), options)
    chooser = subset.Subsetter(options)
    chooser.populate(text=list_characters())
    chooser.subset(font)
    subset.save_font(font, str(target), options)


def main() -> None:
    """Write the font."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    FONTS.mkdir(exist_ok=True)
    target = FONTS / "noto-sans-sc.woff2"
    with tempfile.TemporaryDirectory() as folder:
        unpack_package(Path(folder))
        write_subset(Path(folder, "whole.woff2"), target)
    log.info("%d characters, %d kB", len(list_characters()), target.stat().st_size // 1000)


if __name__ == "__main__":
    main()
