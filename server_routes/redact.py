"""Remove what clients must not see: paths on the server's disk, and the secrets in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_MESSAGE = 1000

_ABSOLUTE_PATH = re.compile(
    r"""(?<![\w:/\\.])(?:[A-Za-z]:)?[\\/]{1,2}(?:[^\s\\/:'"<>|]+[\\/]+)+(?P<name>[^\s\\/:'"<>|]*)"""
)


def strip_query(url: str) -> str:
    """A URL without its query and fragment, which often hold a secret."""
    return re.split(r"[?#]", url, maxsplit=1)[0]


def redact_paths(message: str, folders: Iterable[str] = ()) -> str:
    """Replace absolute paths by their last component, and cut the message to MAX_MESSAGE characters.

    folders: paths that are known to occur; they may contain spaces, which the pattern cannot match.
    """
    for folder in sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True):
        message = re.sub(re.escape(folder) + r"(?:[\\/]|(?![\w.-]))", "", message)
    message = _ABSOLUTE_PATH.sub(lambda match: match["name"] or "…", message).strip()
    return message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
