"""The form fields of POST /generate_character: what each one may be, and the sentence that refuses it.

`FormFields` is the only place that states types, ranges and defaults; the OpenAPI document, the client's
types and the error sentences are derived from it.
"""

from __future__ import annotations

import functools
import math
import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from ..pipeline.conventions import (
    BIND_POSES,
    BONE_NAMES,
    CHARACTER_FORMATS,
    CLIPS,
    PICTURE_VIEWS,
    REST_POSES,
    ROOT_MOTIONS,
)
from ..pipeline.errors import PictureError
from ..pipeline.figure.document import parse_corrections
from ..pipeline.presets import COMPRESSIONS, MOST_LODS, NO_PRESET, PRESETS, apply_preset
from .errors import INVALID_PARAMETERS, ApiError

DEFAULT_MODEL = "dreamshaper.safetensors"
AUTO = "auto"
MAX_SEED = 2**53 - 1
DRAWN_SEEDS = 2**32
MAX_PROMPT_CHARACTERS = 2000
MAX_CORRECTIONS_CHARACTERS = 4000
MAX_NESTED_WEIGHTS = 100
"""ComfyUI's parser of weighted words recurses once per level of parentheses; it fails at about 900."""

MAX_ECHO = 100

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def _read_integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text.strip()) else text


def _read_number(text: str) -> float | str:
    number = float(text) if _DECIMAL.fullmatch(text.strip()) else math.nan
    return number if math.isfinite(number) else text


def _read_boolean(text: str) -> bool | str:
    return _BOOLEANS.get(text.strip().lower(), text)


_READERS: Mapping[type, Callable[[str], Any]] = {int: _read_integer, float: _read_number, bool: _read_boolean}
"""Type of a field -> what reads its text. Text that cannot be read is returned, and fails validation."""


def repair_mojibake(text: str) -> str:
    """Undo one decoding of UTF-8 bytes as Latin-1 or Windows-1252, if there was one.

    The published default of pose_type, "å¤§-pose", is 大-pose damaged in this way.
    """
    text = unicodedata.normalize("NFC", text.strip())
    repaired = _decode_again(text, "latin-1") or _decode_again(text, "cp1252") or text
    return unicodedata.normalize("NFC", repaired)


def _decode_again(text: str, codec: str) -> str | None:
    try:
        return text.encode(codec).decode("utf-8")
    except UnicodeError:
        return None


def _refusal(expected: str, **limits: Any) -> PydanticCustomError:
    """The error of a rule that the JSON schema of a field does not state; limits: members of its details."""
    return PydanticCustomError("refused", "{expected}", {"expected": expected, "limits": limits})


def _nesting_depth(text: str) -> int:
    """Depth of the innermost pair of parentheses."""
    level = deepest = 0
    for character in text:
        if character == "(":
            level += 1
        elif character == ")" and level:
            deepest, level = max(deepest, level), level - 1
    return deepest


def _check_prompt(text: str) -> str:
    if "\x00" in text:
        raise _refusal("Must not contain NUL characters")
    if _nesting_depth(text) > MAX_NESTED_WEIGHTS:
        raise _refusal(f"Must nest parentheses at most {MAX_NESTED_WEIGHTS} deep")
    return text


def _one_of(words: Sequence[str], read: Callable[[str], str] = str.strip) -> GetPydanticSchema:
    """Annotation of a text field that takes one of some words."""
    schema = core_schema.no_info_before_validator_function(read, core_schema.literal_schema(list(words)))
    return GetPydanticSchema(lambda source, handler: schema)


def _largest_outline(mesh_input_size: int) -> int:
    return min(512, mesh_input_size // 2 - 1)


def _check_corrections(text: str) -> str:
    try:
        if text.strip():
            parse_corrections(text)
    except PictureError as error:
        raise _refusal(f"Must be landmarks of the picture as JSON: {error}") from error
    return text.strip()


Prompt = Annotated[
    str,
    Field(max_length=MAX_PROMPT_CHARACTERS, json_schema_extra={"pattern": r"^[^\x00]*$"}),
    AfterValidator(_check_prompt),
]


class FormFields(BaseModel):
    """Every text field of the form; a field that was not sent takes its default.

    The validation context maps `model_name` and `mesh_model` to the names that each may be.
    """

    model_config = ConfigDict(
        strict=True, protected_namespaces=(), json_schema_serialization_defaults_required=True
    )

    prompt: Prompt = "Highly Detailed"
    negative_prompt: Prompt = "watermark, ugly, deformed, noisy, blurry, low contrast"
    image_size: Literal[512, 768, 1024] = 768
    mesh_input_size: int = Field(1024, ge=256, le=2048)
    outline_size: int = Field(128, ge=0, le=512)
    figure: int = Field(-1, ge=-1, le=99)
    views: Annotated[str, _one_of(PICTURE_VIEWS)] = PICTURE_VIEWS[0]
    steps: int = Field(10, ge=1, le=100)
    mesh_model: str = AUTO
    mesh_steps: int = Field(0, ge=0, le=100)
    octree_resolution: int = Field(384, ge=16, le=512)
    face_count: int = Field(50_000, ge=1_000, le=500_000)
    guidance_scale: float = Field(5.5, ge=1.0, le=20.0)
    cfg_scale: float = Field(2.0, ge=0.0, le=20.0)
    seed: int = Field(-1, ge=-1, le=MAX_SEED)
    model_name: str = DEFAULT_MODEL
    pose_type: Annotated[str, _one_of(REST_POSES, read=repair_mojibake)] = REST_POSES[0]
    enable_rigging: bool = True
    fingers: bool = False
    face: bool = False
    strict: bool = False
    bind_pose: Annotated[str, _one_of(BIND_POSES)] = BIND_POSES[0]
    animation: Annotated[str, _one_of(("none", "all", *CLIPS))] = "none"
    root_motion: Annotated[str, _one_of(ROOT_MOTIONS)] = ROOT_MOTIONS[0]
    character_format: Annotated[str, _one_of(CHARACTER_FORMATS)] = CHARACTER_FORMATS[0]
    bone_names: Annotated[str, _one_of(BONE_NAMES)] = BONE_NAMES[0]
    preset: Annotated[str, _one_of(tuple(PRESETS))] = NO_PRESET
    lods: int = Field(0, ge=0, le=MOST_LODS)
    max_triangles: int = Field(0, ge=0, le=1_000_000)
    texture_size: int = Field(0, ge=0, le=8192)
    compression: Annotated[str, _one_of(COMPRESSIONS)] = COMPRESSIONS[0]
    max_bytes: int = Field(0, ge=0, le=1_000_000_000)
    animated_preview: bool = False
    corrections: Annotated[
        str,
        Field(
            max_length=MAX_CORRECTIONS_CHARACTERS,
            json_schema_extra={"contentMediaType": "application/json"},
            description="Landmarks to move: name -> [x, y]; unit: pixels, or shares of the framed picture.",
        ),
        AfterValidator(_check_corrections),
    ] = ""
    webhook_url: Annotated[str, StringConstraints(strip_whitespace=True)] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, text: str, info: ValidationInfo) -> Any:
        """Read the text as the type of the field's default; all other rules work on the value."""
        kind = type(cls.model_fields[str(info.field_name)].default)
        return _READERS.get(kind, str)(text)

    @field_validator("outline_size")
    @classmethod
    def _leave_room(cls, size: int, info: ValidationInfo) -> int:
        """The outline must leave some of the picture; without a valid picture size, there is no limit."""
        side = info.data.get("mesh_input_size")
        if side and size > (maximum := _largest_outline(side)):
            expected = f"Must be a whole number from 0 to {maximum} when mesh input size is {side}"
            raise _refusal(expected, provided=size, minimum=0, maximum=maximum)
        return size

    @field_validator("model_name", "mesh_model")
    @classmethod
    def _must_be_installed(cls, name: str, info: ValidationInfo) -> str:
        installed = (info.context or {})[info.field_name]
        if name not in installed:
            raise _refusal("Must be an installed model", allowed=list(installed))
        return name


FIELDS: Mapping[str, FieldInfo] = FormFields.model_fields


@dataclass(frozen=True)
class Parameters:
    """The validated values of one request.

    values: every field of FIELDS, with the seed already drawn. sent: the fields that the client sent.
    warnings: sentences about what was ignored. model_installed: whether `model_name` can be loaded.
    """

    values: Mapping[str, Any]
    sent: frozenset[str]
    model_installed: bool
    warnings: tuple[str, ...] = field(default=())


def label(name: str) -> str:
    """The name of a field in words."""
    return name.replace("_", " ")


def _echo(text: str) -> str:
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "…"


def _join_choices(choices: Sequence[Any]) -> str:
    words = [str(choice) for choice in choices]
    if len(words) < 3:
        return " or ".join(words)
    return ", ".join(words[:-1]) + ", or " + words[-1]


@functools.cache
def _field_schemas() -> Mapping[str, Mapping[str, Any]]:
    return FormFields.model_json_schema()["properties"]


def _describe_schema(schema: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a field accepts, as a sentence and as the members of an error's details."""
    if allowed := schema.get("enum"):
        return f"Must be {_join_choices(allowed)}", {"allowed": allowed}
    if schema["type"] == "boolean":
        return "Must be true or false", {"allowed": list(_BOOLEANS)}
    if length := schema.get("maxLength"):
        return f"Must have at most {length} characters", {"maximum_length": length}
    low, high = schema["minimum"], schema["maximum"]
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    return f"Must be {kind} from {low} to {high}", {"minimum": low, "maximum": high}


def _describe_error(error: ErrorDetails, form: Mapping[str, str]) -> dict[str, Any]:
    """One entry of `details.errors`."""
    name = str(error["loc"][0])
    if error["type"] == "refused":
        expected, limits = error["ctx"]["expected"], error["ctx"]["limits"]
    else:
        expected, limits = _describe_schema(_field_schemas()[name])
    provided = _echo(form[name]) if isinstance(error["input"], str) else error["input"]
    message = f"Invalid {label(name)}. {expected}"
    return {"message": message, "parameter": name, "provided": provided, **limits}


def _refuse_form(error: ValidationError, form: Mapping[str, str]) -> ApiError:
    errors = [_describe_error(found, form) for found in error.errors(include_url=False)]
    details = {key: value for key, value in errors[0].items() if key != "message"}
    if len(errors) > 1:
        details["errors"] = errors
    return ApiError(400, INVALID_PARAMETERS, errors[0]["message"], details)


_OF_TEXTURE_MODEL = frozenset({"prompt", "negative_prompt", "steps", "cfg_scale"})
"""Fields that only a texture model honors."""


def parse_form(
    form: Mapping[str, str], models: tuple[list[str], list[str]], check_url: Callable[[str], None]
) -> tuple[Parameters, bool]:
    """The checked parameters of a form, its webhook too, and whether a learned mesh model is installed.

    models: as Service.list_models. Raises ApiError as parse_parameters and check_url do.
    """
    installed, shape_models = models
    parameters = parse_parameters(form, installed, shape_models)
    if url := parameters.values["webhook_url"]:
        check_url(url)
    return parameters, bool(shape_models)


def parse_parameters(
    form: Mapping[str, str], installed_models: Collection[str], shape_models: Collection[str] = ()
) -> Parameters:
    """Validate the text fields of a form.

    installed_models, shape_models: the names that model_name and mesh_model may be.

    A preset sets the fields of a file that were not sent. The default model need not be installed; a model
    that was sent must be. An outline that was not sent shrinks with the picture. Raises ApiError (400
    INVALID_PARAMETERS), which names the first invalid field in the order of FormFields, and lists all of them
    in details.errors.
    """
    names = {"model_name": installed_models, "mesh_model": (AUTO, *shape_models)}
    try:
        fields = FormFields.model_validate(dict(form), context=names)
    except ValidationError as error:
        raise _refuse_form(error, form) from None
    values = apply_preset(fields.model_dump(), fields.model_fields_set, fields.preset)
    if "outline_size" not in fields.model_fields_set:
        values["outline_size"] = min(values["outline_size"], _largest_outline(values["mesh_input_size"]))
    if values["seed"] == -1:
        values["seed"] = secrets.randbelow(DRAWN_SEEDS)
    warnings = [f"{_echo(name)}: unknown field, ignored" for name in form if name not in FIELDS]
    is_installed = values["model_name"] in installed_models
    if not is_installed and fields.model_fields_set & _OF_TEXTURE_MODEL:
        warnings.append(
            f"model_name: the default {DEFAULT_MODEL} is not installed, the embedded texture method is used"
        )
    return Parameters(values, frozenset(fields.model_fields_set), is_installed, tuple(warnings))
