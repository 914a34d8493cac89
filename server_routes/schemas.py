"""The JSON bodies of the service as types: the components of the OpenAPI document.

client/types.py is generated from them (scripts/client_types.py). Answers are built as plain dicts and are
not validated at run time; the tests validate every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from ..pipeline.conventions import STAGES, VIEW_NAMES
from ..pipeline.figure.figure import KINDS
from .check import READ_FIELDS
from .errors import (
    FILE_TOO_LARGE,
    INVALID_PARAMETERS,
    JOB_NOT_FOUND,
    PROCESSING_ERROR,
    SERVER_BUSY,
    UNSUPPORTED_FORMAT,
)
from .graph import SHOWN_NODES
from .mesh_jobs import MESH_DEFAULTS, OF_PICTURES
from .parameters import DEFAULT_MODEL, FormFields
from .report_schema import QualityReport
from .status import DOWNLOAD_KEYS
from .upload import MESH, SHEET, SIDE_PICTURES, TEXTURE

Schema = dict[str, Any]

_CODES = {
    INVALID_PARAMETERS: "The request is not acceptable; details say what was found and what is accepted.",
    FILE_TOO_LARGE: "A picture or the motion has over 10 MB, all pictures together 40 MB, a picture 40 "
    "megapixels, or the body 51 MB; a mesh that is checked has over 64 MB.",
    UNSUPPORTED_FORMAT: "The picture is not a PNG or JPEG, the mesh is in no format that is read, or the "
    "body is not a multipart form.",
    JOB_NOT_FOUND: "There is no such job, or there no longer is (410).",
    PROCESSING_ERROR: "A stage of the job failed; in an error response, a defect of the service.",
    SERVER_BUSY: "A limit of the user (429) or of the server (503); Retry-After says when to try again.",
}


def _words(words: Iterable[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(words)})


Seconds = Annotated[str, Field(pattern=r"^\d+ seconds$")]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
JobId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
OutputPath = Annotated[str, Field(pattern="^/output/", description="Path below the server's output folder.")]
Progress = Annotated[int, Field(ge=0, le=100)]
StageName = TypeAliasType("StageName", Annotated[str, _words(STAGES)])
ResultKey = TypeAliasType("ResultKey", Annotated[str, _words(DOWNLOAD_KEYS)])
ErrorCode = TypeAliasType(
    "ErrorCode",
    Annotated[
        str,
        WithJsonSchema({"oneOf": [{"const": code, "description": text} for code, text in _CODES.items()]}),
    ],
)


class Parameters(FormFields):
    """The parameters of a job: optional in a request; in an answer all are present, the seed as drawn."""


class Error(TypedDict):
    """A refused request, or a failure of the service."""

    status: Literal["error"]
    error_code: ErrorCode
    message: str
    details: dict[str, Any]


class Problem(TypedDict):
    """An Error as problem details (RFC 9457), for requests that accept application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error_code: ErrorCode
    message: str
    details: dict[str, Any]


class Acceptance(TypedDict):
    """A job that was queued."""

    status: Literal["accepted"]
    job_id: JobId
    message: str
    estimated_time: Annotated[str, Field(pattern=r"^\d+-\d+ seconds$")]
    estimated_time_seconds: Annotated[
        list[int], Field(min_length=2, max_length=2, description="The shortest and the longest time.")
    ]
    status_url: str
    parameters: Parameters
    warnings: list[str]


class CheckedLandmark(TypedDict):
    """A point of the body, in pixels of the picture, and depth towards the viewer; confidence 0..1."""

    x: float
    y: float
    depth: float
    confidence: float


class Check(TypedDict):
    """What would be read in a picture; lengths are in its pixels, from its upper left corner, upright."""

    width: int
    height: int
    method: Annotated[str, Field(description="Of the cut-out.")]
    kind: Annotated[str, _words(KINDS)]
    source: Annotated[str, Field(description="What the landmarks were read from.")]
    yaw: Annotated[float, Field(description="Degrees that the body is turned to its own left, as seen.")]
    box: Annotated[list[float], Field(description="Of the subject: left, top, right, bottom.")]
    head_box: Annotated[list[float], Field(description="The same of the head with its hair.")]
    face: Annotated[list[float] | None, Field(description="Ellipse: center x, y, and radii.")]
    landmarks: dict[str, CheckedLandmark]
    parts: Annotated[dict[str, float], Field(description="Share of the subject, by name of the part.")]
    warnings: list[str]
    preview: Annotated[str, Field(description="PNG of the framed subject with all of it drawn, in base64.")]
    seconds: float


class RigFinding(TypedDict):
    """One thing that was found in a mesh."""

    code: Annotated[str, Field(description="For programs: always the same for the same finding.")]
    message: str
    advice: Annotated[str, Field(description="What to do; empty if there is nothing.")]


class RigCheck(TypedDict):
    """What a rig would make of a mesh."""

    kind: Annotated[str, Field(description="What it is: humanoid, half_body, bust, quadruped and others.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="How sure `kind` is.")]
    kinds: Annotated[dict[str, float], Field(description="The share of every kind.")]
    skeleton: Literal["humanoid", "along limbs", "none"]
    up: Annotated[str, Field(description="Axis of the mesh that points up.")]
    front: Annotated[str, Field(description="Axis of the mesh that it faces.")]
    unit: Annotated[str, Field(description="What its lengths were taken for.")]
    height_meters: float
    vertices: int
    faces: int
    size: Annotated[list[float], Field(description="Along x, y and z, in the file's unit.")]
    pieces: Annotated[int, Field(description="Parts that do not hang together.")]
    holes: Annotated[int, Field(description="Open rims of the surface.")]
    symmetry: Annotated[float, Field(ge=0, le=1, description="1 where both halves are mirror images.")]
    pose: Annotated[str, Field(description="Of a figure: its rest pose; else empty.")]
    arms: Annotated[int, Field(description="Of a figure: how many are apart from the body.")]
    legs: int
    fingers: Annotated[int, Field(description="How many would get joints.")]
    findings: Annotated[list[RigFinding], Field(description="Most important first.")]
    seconds: float


class Stage(TypedDict):
    """One stage of a job; method, seconds and cached are known once it has finished."""

    name: StageName
    status: Literal["pending", "processing", "completed", "failed"]
    method: NotRequired[str]
    seconds: NotRequired[float]
    cached: NotRequired[bool]


class Download(TypedDict):
    """A file of a job; its size in bytes and its SHA-256 are known once the job has ended."""

    name: str
    result: ResultKey
    url: str
    media_type: str
    size: int | None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None


class StagePicture(TypedDict):
    """A picture that a stage shows while the job runs; gone once ComfyUI has restarted."""

    stage: StageName
    shows: Annotated[str, _words(SHOWN_NODES.values())]
    url: str


class Results(TypedDict):
    """The files of a job; null, or an empty list, for those that were not made."""

    raw_mesh: OutputPath | None
    textured_mesh: OutputPath | None
    rigged_character: OutputPath | None
    preview_images: list[OutputPath]


class _AnyJob(TypedDict):
    job_id: JobId
    progress: Progress
    created_at: Moment
    attempts: Annotated[int, Field(ge=0, description="How often the job was started.")]
    stages: list[Stage]
    methods: Annotated[dict[str, str], Field(description="The method of each finished stage.")]
    parameters: Parameters
    warnings: list[str]
    downloads: list[Download]
    pictures: NotRequired[list[StagePicture]]


class _EndedJob(_AnyJob):
    results: Results
    processing_time: Seconds
    processing_time_seconds: float
    ended_at: Moment
    expires_at: Annotated[Moment, Field(description="When the record of the job is removed.")]


class ProcessingJob(_AnyJob):
    """A job that is queued or running."""

    status: Literal["processing"]
    current_stage: Annotated[str, _words(("queued", *STAGES))]
    estimated_remaining: Seconds
    estimated_remaining_seconds: int
    queue_position: NotRequired[Annotated[int, Field(ge=1)]]


class CompletedJob(_EndedJob):
    """A job whose stages all completed."""

    status: Literal["completed"]


class FailedJob(_EndedJob):
    """A job that failed or was cancelled; it keeps the results of the stages that completed."""

    status: Literal["failed"]
    error: str
    error_details: str
    failed_stage: StageName | None
    error_code: Literal["PROCESSING_ERROR"]
    cancelled: NotRequired[Literal[True]]


Job = TypeAliasType("Job", Annotated[ProcessingJob | CompletedJob | FailedJob, Field(discriminator="status")])


class JobList(TypedDict):
    """A page of jobs."""

    jobs: list[Job]
    next: Annotated[str | None, Field(description="The `before` of the next page; null on the last page.")]


Models = TypedDict("Models", {"diffusion_models": list[str], "3d_models": list[str]})
Models.__doc__ = "The names that model_name and mesh_model accept."


class Reason(TypedDict):
    """Why a job would be refused."""

    message: str
    reason: str


class JobCounts(TypedDict):
    """How many jobs have not ended."""

    queued: int
    processing: int


class LastJob(TypedDict):
    """The outcome of the job that ended last."""

    status: Literal["completed", "failed"]
    failed_stage: StageName | None
    ended_at: Moment


class Health(TypedDict):
    """Whether a job would be accepted now."""

    status: Literal["ready", "not_ready"]
    reasons: list[Reason]
    notices: Annotated[list[str], Field(description="Problems at startup that have been resolved.")]
    jobs: JobCounts
    last_job: Annotated[LastJob | None, Field(description="null until a job has ended.")]


class Preview(TypedDict):
    """A preview image that was written."""

    stage: StageName
    preview: OutputPath
    url: str


class StageCompletion(Stage):
    """A stage that completed, and the progress of the job."""

    stage: StageName
    progress: Progress


class _AnyEvent(TypedDict):
    job_id: str
    seq: Annotated[int, Field(ge=0, description="Counts the events of a job from 1.")]
    timestamp: Annotated[int, Field(description="Milliseconds since 1970.")]
    snapshot: NotRequired[Literal[True]]


class ProgressEvent(_AnyEvent):
    """The status of the job; as a snapshot, it may have ended."""

    type: Literal["progress_update"]
    data: Job


class PreviewEvent(_AnyEvent):
    """A preview image can be downloaded."""

    type: Literal["preview_ready"]
    data: Preview


class StageEvent(_AnyEvent):
    """A stage completed."""

    type: Literal["stage_completed"]
    data: StageCompletion


class CompletionEvent(_AnyEvent):
    """The job completed; its last event."""

    type: Literal["job_completed"]
    data: CompletedJob


class ErrorEvent(_AnyEvent):
    """The job failed, its last event; or a WebSocket was opened for a job that does not exist."""

    type: Literal["error"]
    data: FailedJob | Error


Event = TypeAliasType(
    "Event",
    Annotated[
        ProgressEvent | PreviewEvent | StageEvent | CompletionEvent | ErrorEvent, Field(discriminator="type")
    ],
)


class _WithoutTitles(GenerateJsonSchema):
    """Titles would only repeat the names of members."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def list_schemas() -> dict[str, Schema]:
    """The components of the OpenAPI document by name."""
    bodies = TypeAdapter(
        tuple[Error, Problem, Acceptance, Check, RigCheck, Job, QualityReport, JobList, Models, Health, Event]
    )
    schema = bodies.json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}", schema_generator=_WithoutTitles
    )
    return schema["$defs"]


_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "The picture, PNG or JPEG, at most 10 MB; in its place, image_sheet.",
}
_SHEET = {
    "type": "string",
    "format": "binary",
    "description": "In place of image: one picture with several views of the character, side by side.",
}


def _side_picture(side: str) -> Schema:
    seen = "from above" if side == "top" else "from behind" if side == "back" else f"from its own {side}"
    text = f"The same character {seen}, as image; all pictures together have at most 40 MB."
    return {"type": "string", "format": "binary", "description": text}


_SIDES = {name: _side_picture(side) for name, side in SIDE_PICTURES.items()}
_ONE_PICTURE: Schema = {
    "if": {"required": [SHEET]},
    "then": {"not": {"required": ["image"]}},
    "else": {"required": ["image"]},
}
"""Exactly one of both. Written so, since generators of clients leave a form out that is a oneOf."""
_MOTION = {
    "type": "string",
    "format": "binary",
    "description": "A motion that is put onto the character as a clip: BVH, FBX, GLB, VRMA or npz of SMPL, "
    "at most 10 MB.",
}


_UNKNOWN = "Unknown fields are ignored, with a warning."


def check_form_schema() -> Schema:
    """The multipart form of POST /character/check; other fields are not read."""
    fields = FormFields.model_json_schema(schema_generator=_WithoutTitles)["properties"]
    read = {name: fields[name] for name in READ_FIELDS}
    return {"type": "object", **_ONE_PICTURE, "properties": {"image": _IMAGE, SHEET: _SHEET, **read}}


_MESH = {
    "type": "string",
    "format": "binary",
    "description": "A mesh of at most 64 MB in one file; its name says its format: .glb, .fbx, .obj, .stl "
    "and others.",
}


def rig_check_form_schema() -> Schema:
    """The multipart form of POST /character/rig_check; other fields are not read."""
    return {"type": "object", "required": [MESH], "properties": {MESH: _MESH}}


def rig_form_schema(needs_motion: bool) -> Schema:
    """The multipart form of POST /character/rig, and of POST /character/animate, which needs a motion."""
    fields = FormFields.model_json_schema(schema_generator=_WithoutTitles)["properties"]
    used = {name: field for name, field in fields.items() if name not in OF_PICTURES}
    for name, value in MESH_DEFAULTS.items():
        used[name] = {**used[name], "default": value}
    return {
        "type": "object",
        "required": [MESH, "motion"] if needs_motion else [MESH],
        "properties": {MESH: _MESH, "motion": _MOTION, **used},
        "description": _UNKNOWN,
        "additionalProperties": True,
    }


def _describe_painted() -> dict[str, Schema]:
    view = "as large as the view of the job that it replaces, PNG or JPEG"
    described = {name: f"The {name} view, painted over; {view}." for name in VIEW_NAMES}
    described[TEXTURE] = "The texture of the textured mesh, painted over; square, PNG or JPEG."
    return {
        name: {"type": "string", "format": "binary", "description": text} for name, text in described.items()
    }


def edit_form_schema() -> Schema:
    """The multipart form of POST /generate_character/jobs/{job_id}/views."""
    files = _describe_painted()
    first, *others = files
    needed = {"if": {"anyOf": [{"required": [name]} for name in others]}, "else": {"required": [first]}}
    return {"type": "object", "properties": files, **needed}


def form_schema() -> Schema:
    """The multipart form of POST /generate_character.

    model_name has no default in it: generated clients send every default, and a model that is sent must be
    installed.
    """
    fields = FormFields.model_json_schema(schema_generator=_WithoutTitles)["properties"]
    del fields["model_name"]["default"]
    fields["model_name"]["description"] = f"An installed model; {DEFAULT_MODEL} unless one is sent."
    files = {"image": _IMAGE, **_SIDES, SHEET: _SHEET, "motion": _MOTION, **_describe_painted()}
    return {
        "type": "object",
        **_ONE_PICTURE,
        "properties": {**files, **fields},
        "description": _UNKNOWN,
        "additionalProperties": True,
    }
