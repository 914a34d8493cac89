"""The form fields of POST /generate_character as one table: type, range, default, repair."""

from __future__ import annotations

import math
import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..pipeline.conventions import BIND_POSES, BONE_NAMES, CHARACTER_FORMATS, CLIPS, REST_POSES
from .errors import INVALID_PARAMETERS, ApiError

DEFAULT_MODEL = "dreamshaper.safetensors"
AUTO = "auto"
MAX_SEED = 2**53 - 1
DRAWN_SEEDS = 2**32
MAX_PROMPT_CHARACTERS = 2000
MAX_NESTED_WEIGHTS = 100
"""ComfyUI's reader of (weighted) words calls itself for each level of parentheses; at some 900 it fails."""

MAX_ECHO = 100

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


class _Refusal(Exception):
    """A value is not acceptable; `details` says what would be."""

    def __init__(self, expected: str, provided: Any, **details: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.details = {"provided": provided, **details}


@dataclass(frozen=True)
class Field:
    """One form field. `parse` turns its text into a value or raises _Refusal; `schema` says what it takes."""

    name: str
    default: Any
    parse: Callable[[str], Any]
    schema: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The field's name in words."""
        return self.name.replace("_", " ")


def _echo(text: str) -> str:
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "…"


def _join_choices(choices: Collection[Any]) -> str:
    words = [str(choice) for choice in choices]
    if len(words) < 3:
        return " or ".join(words)
    return ", ".join(words[:-1]) + ", or " + words[-1]


Kind = tuple[Callable[[str], Any], Mapping[str, Any]]
"""What reads a field's text, and the JSON schema of its value."""


def _integer(low: int, high: int) -> Kind:
    expected = f"Must be a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text.strip()):
            raise _Refusal(expected, _echo(text), minimum=low, maximum=high)
        value = int(text)
        if not low <= value <= high:
            raise _Refusal(expected, value, minimum=low, maximum=high)
        return value

    return parse, {"type": "integer", "minimum": low, "maximum": high}


def _number(low: float, high: float) -> Kind:
    expected = f"Must be a number from {low} to {high}"

    def parse(text: str) -> float:
        if not _DECIMAL.fullmatch(text.strip()):
            raise _Refusal(expected, _echo(text), minimum=low, maximum=high)
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise _Refusal(expected, value, minimum=low, maximum=high)
        return value

    return parse, {"type": "number", "minimum": low, "maximum": high}


def _integer_choice(*allowed: int) -> Kind:
    expected = f"Must be {_join_choices(allowed)}"

    def parse(text: str) -> int:
        provided: Any = int(text) if _INTEGER.fullmatch(text.strip()) else _echo(text)
        if provided not in allowed:
            raise _Refusal(expected, provided, allowed=list(allowed))
        return provided

    return parse, {"type": "integer", "enum": list(allowed)}


def _read_boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise _Refusal("Must be true or false", _echo(text), allowed=list(_BOOLEANS))
    return value


def _read_prompt(text: str) -> str:
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise _Refusal(
            f"Must have at most {MAX_PROMPT_CHARACTERS} characters",
            _echo(text),
            maximum_length=MAX_PROMPT_CHARACTERS,
        )
    if "\x00" in text:
        raise _Refusal("Must not contain NUL characters", _echo(text))
    if _nesting(text) > MAX_NESTED_WEIGHTS:
        raise _Refusal(f"Must nest parentheses at most {MAX_NESTED_WEIGHTS} deep", _echo(text))
    return text


def _nesting(text: str) -> int:
    """How deep the innermost closed parenthesis lies."""
    level = deepest = 0
    for character in text:
        if character == "(":
            level += 1
        elif character == ")" and level:
            deepest, level = max(deepest, level), level - 1
    return deepest


def repair_mojibake(text: str) -> str:
    """Undo one reading of UTF-8 bytes as Latin-1 or Windows-1252, where that was done.

    The published default of pose_type, "å¤§-pose", is 大-pose damaged in this way.
    """
    text = unicodedata.normalize("NFC", text.strip())
    repaired = _reread(text, "latin-1") or _reread(text, "cp1252") or text
    return unicodedata.normalize("NFC", repaired)


def _reread(text: str, codec: str) -> str | None:
    try:
        return text.encode(codec).decode("utf-8")
    except UnicodeError:
        return None


def _choice(*allowed: str) -> Kind:
    def parse(text: str) -> str:
        if text.strip() not in allowed:
            raise _Refusal(f"Must be {_join_choices(allowed)}", _echo(text), allowed=list(allowed))
        return text.strip()

    return parse, {"type": "string", "enum": list(allowed)}


def _read_pose(text: str) -> str:
    pose = repair_mojibake(text)
    if pose not in REST_POSES:
        raise _Refusal(f"Must be {_join_choices(REST_POSES)}", _echo(text), allowed=list(REST_POSES))
    return pose


_BOOLEAN: Kind = (_read_boolean, {"type": "boolean"})
_PROMPT: Kind = (
    _read_prompt,
    {"type": "string", "maxLength": MAX_PROMPT_CHARACTERS, "pattern": r"^[^\x00]*$"},
)
_MODEL: Kind = (str, {"type": "string"})

FIELDS: Mapping[str, Field] = {
    item.name: item
    for item in (
        Field("prompt", "Highly Detailed", *_PROMPT),
        Field("negative_prompt", "watermark, ugly, deformed, noisy, blurry, low contrast", *_PROMPT),
        Field("image_size", 768, *_integer_choice(512, 768, 1024)),
        Field("mesh_input_size", 1024, *_integer(256, 2048)),
        Field("outline_size", 128, *_integer(0, 512)),
        Field("steps", 10, *_integer(1, 100)),
        Field("mesh_model", AUTO, *_MODEL),
        Field("mesh_steps", 0, *_integer(0, 100)),
        Field("octree_resolution", 384, *_integer(16, 512)),
        Field("face_count", 50_000, *_integer(1_000, 500_000)),
        Field("guidance_scale", 5.5, *_number(1.0, 20.0)),
        Field("cfg_scale", 2.0, *_number(0.0, 20.0)),
        Field("seed", -1, *_integer(-1, MAX_SEED)),
        Field("model_name", DEFAULT_MODEL, *_MODEL),
        Field("pose_type", REST_POSES[0], _read_pose, {"type": "string", "enum": list(REST_POSES)}),
        Field("enable_rigging", True, *_BOOLEAN),
        Field("fingers", False, *_BOOLEAN),
        Field("bind_pose", BIND_POSES[0], *_choice(*BIND_POSES)),
        Field("animation", "none", *_choice("none", "all", *CLIPS)),
        Field("character_format", CHARACTER_FORMATS[0], *_choice(*CHARACTER_FORMATS)),
        Field("bone_names", BONE_NAMES[0], *_choice(*BONE_NAMES)),
        Field("animated_preview", False, *_BOOLEAN),
        Field("webhook_url", "", str.strip, {"type": "string"}),
    )
}


@dataclass(frozen=True)
class Parameters:
    """The checked values of one request.

    values: every field of FIELDS, the seed already drawn. sent: the fields that the client sent.
    warnings: sentences about what was ignored. model_installed: whether `model_name` can be loaded.
    """

    values: Mapping[str, Any]
    sent: frozenset[str]
    model_installed: bool
    warnings: tuple[str, ...] = field(default=())


def _parse_field(item: Field, form: Mapping[str, str]) -> Any:
    """The field's value, or the _Refusal of what was sent."""
    try:
        return item.parse(form[item.name]) if item.name in form else item.default
    except _Refusal as refusal:
        return refusal


def _check_outline(values: dict[str, Any], is_sent: bool) -> _Refusal | None:
    """The default gives way to a small picture; a size that was sent must fit."""
    maximum = min(512, values["mesh_input_size"] // 2 - 1)
    if not is_sent:
        values["outline_size"] = min(values["outline_size"], maximum)
    if values["outline_size"] <= maximum:
        return None
    return _Refusal(
        f"Must be a whole number from 0 to {maximum} when mesh input size is {values['mesh_input_size']}",
        values["outline_size"],
        minimum=0,
        maximum=maximum,
    )


def _check_model(name: str, installed: Collection[str]) -> _Refusal | None:
    if name in installed:
        return None
    return _Refusal("Must be an installed model", _echo(name), allowed=list(installed))


def _describe(name: str, refusal: _Refusal) -> dict[str, Any]:
    message = f"Invalid {FIELDS[name].label}. {refusal.expected}"
    return {"message": message, "parameter": name, **refusal.details}


def _refuse(refusals: Mapping[str, _Refusal]) -> ApiError:
    errors = [_describe(name, refusals[name]) for name in FIELDS if name in refusals]
    details = {key: value for key, value in errors[0].items() if key != "message"}
    if len(errors) > 1:
        details["errors"] = errors
    return ApiError(400, INVALID_PARAMETERS, errors[0]["message"], details)


def parse_parameters(
    form: Mapping[str, str], installed_models: Collection[str], shape_models: Collection[str] = ()
) -> Parameters:
    """Check the text fields of a form against FIELDS.

    installed_models, shape_models: what model_name and mesh_model may be.

    A missing field takes its default; the model's default need not be installed, a model that was
    sent must be. Raises ApiError (400 INVALID_PARAMETERS) that names the first wrong field in table
    order, and all of them in details.errors.
    """
    parsed = {name: _parse_field(item, form) for name, item in FIELDS.items()}
    refusals = {name: value for name, value in parsed.items() if isinstance(value, _Refusal)}
    values = {name: value for name, value in parsed.items() if name not in refusals}
    if "outline_size" in values and "mesh_input_size" in values:
        wrong = _check_outline(values, "outline_size" in form)
        refusals.update({"outline_size": wrong} if wrong else {})
    model = _check_model(values["model_name"], installed_models)
    if model and "model_name" in form:
        refusals["model_name"] = model
    if mesh_model := _check_model(values["mesh_model"], (AUTO, *shape_models)):
        refusals["mesh_model"] = mesh_model
    if refusals:
        raise _refuse(refusals)
    if values["seed"] == -1:
        values["seed"] = secrets.randbelow(DRAWN_SEEDS)
    warnings = [f"{_echo(name)}: unknown field, ignored" for name in form if name not in FIELDS]
    if model:
        warnings.append(
            f"model_name: the default {DEFAULT_MODEL} is not installed, the embedded texture method is used"
        )
    return Parameters(values, frozenset(form) & frozenset(FIELDS), model is None, tuple(warnings))
