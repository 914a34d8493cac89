"""A user's jobs, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from .errors import invalid_parameter
from .jobs import COMPLETED, FAILED, PROCESSING, QUEUED
from .numbers import parse_whole_number

MOST, USUAL = 100, 20
ID_PATTERN = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_ID = re.compile(ID_PATTERN)
_STATES: Mapping[str, tuple[str, ...]] = {
    "processing": (QUEUED, PROCESSING),
    "completed": (COMPLETED,),
    "failed": (FAILED,),
}


@dataclass(frozen=True)
class Page:
    """Which jobs are requested. before: the id of a job, older than which they are."""

    states: tuple[str, ...]
    before: str | None
    limit: int


def read_page(request: web.Request) -> Page:
    """The query `status`, `limit` and `before` (the `next` of the page before); raises ApiError 400."""
    status, limit = request.query.get("status"), request.query.get("limit", str(USUAL))
    if status is not None and status not in _STATES:
        message = "Invalid status. Must be processing, completed, or failed"
        raise invalid_parameter(message, "status", provided=status[:100], allowed=list(_STATES))
    expected = f"Must be a whole number from 1 to {MOST}"
    size = parse_whole_number(limit, "limit", expected, minimum=1, maximum=MOST)
    states = _STATES[status] if status else tuple(state for group in _STATES.values() for state in group)
    return Page(states, _read_before(request.query.get("before")), size)


def _read_before(text: str | None) -> str | None:
    if text is not None and not _ID.fullmatch(text):
        message = "Invalid before. Must be the next of a page"
        raise invalid_parameter(message, "before", provided=text[:100])
    return text


def describe_page(bodies: Sequence[str], further: str | None) -> str:
    """The page as JSON text. bodies: the jobs' own. further: the id to ask for the next page with."""
    return f'{{"jobs": [{", ".join(bodies)}], "next": {json.dumps(further)}}}'
