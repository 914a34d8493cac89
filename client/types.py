"""The JSON bodies of the service; /generate_character/openapi.json says what their members mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:  # type checkers know it everywhere, typing from Python 3.11 on
    from typing_extensions import NotRequired

StageName = Literal[
    "preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"
]
ErrorCode = Literal[
    "INVALID_PARAMETERS",
    "FILE_TOO_LARGE",
    "UNSUPPORTED_FORMAT",
    "JOB_NOT_FOUND",
    "PROCESSING_ERROR",
    "SERVER_BUSY",
]
ResultKey = Literal["raw_mesh", "textured_mesh", "rigged_character", "preview_images"]


class Parameters(TypedDict, total=False):
    """What a form may have beside the picture. The `parameters` of an answer have every one of them."""

    prompt: str
    negative_prompt: str
    image_size: Literal[512, 768, 1024]
    mesh_input_size: int
    outline_size: int
    steps: int
    mesh_model: str
    mesh_steps: int
    octree_resolution: int
    face_count: int
    guidance_scale: float
    cfg_scale: float
    seed: int
    model_name: str
    pose_type: Literal["大-pose", "T-pose", "A-pose", "No"]
    enable_rigging: bool
    fingers: bool
    bind_pose: Literal["as generated", "T-pose"]
    animation: Literal["none", "all", "idle", "walk", "wave", "t_pose"]
    character_format: Literal["fbx", "glb", "vrm"]
    bone_names: Literal["mixamo", "vrm", "unreal", "unity"]
    animated_preview: bool
    webhook_url: str


class Error(TypedDict):
    """A refusal."""

    status: Literal["error"]
    error_code: ErrorCode
    message: str
    details: dict[str, Any]


class Acceptance(TypedDict):
    """A job that was begun. estimated_time_seconds: the least and the most."""

    status: Literal["accepted"]
    job_id: str
    message: str
    estimated_time: str
    estimated_time_seconds: list[int]
    status_url: str
    parameters: Parameters
    warnings: list[str]


class Stage(TypedDict):
    """One stage of a job."""

    name: StageName
    status: Literal["pending", "processing", "completed", "failed"]
    method: NotRequired[str]
    seconds: NotRequired[float]
    cached: NotRequired[bool]


class Download(TypedDict):
    """A file of a job; size in bytes and sha256 are known once the job has ended."""

    name: str
    result: ResultKey
    url: str
    media_type: str
    size: int | None
    sha256: str | None


class Results(TypedDict):
    """Paths below the server's output folder; None, or no entries, for what was not made."""

    raw_mesh: str | None
    textured_mesh: str | None
    rigged_character: str | None
    preview_images: list[str]


class _AnyJob(TypedDict):
    job_id: str
    progress: int
    created_at: str
    attempts: int
    stages: list[Stage]
    methods: dict[str, str]
    parameters: Parameters
    warnings: list[str]
    downloads: list[Download]


class _EndedJob(_AnyJob):
    results: Results
    processing_time: str
    processing_time_seconds: float
    ended_at: str
    expires_at: str


class ProcessingJob(_AnyJob):
    """A job that waits or runs."""

    status: Literal["processing"]
    current_stage: Literal["queued"] | StageName
    estimated_remaining: str
    estimated_remaining_seconds: int
    queue_position: NotRequired[int]


class CompletedJob(_EndedJob):
    """A job that made all it should."""

    status: Literal["completed"]


class FailedJob(_EndedJob):
    """A job that ended before; its results are those of the stages that were finished."""

    status: Literal["failed"]
    error: str
    error_details: str
    failed_stage: StageName | None
    error_code: Literal["PROCESSING_ERROR"]
    cancelled: NotRequired[Literal[True]]


Job = ProcessingJob | CompletedJob | FailedJob


class JobList(TypedDict):
    """A page of jobs; next: the `before` of the page that follows."""

    jobs: list[Job]
    next: str | None


Models = TypedDict("Models", {"diffusion_models": list[str], "3d_models": list[str]})
"""What model_name and mesh_model may be."""


class Reason(TypedDict):
    """Why no job would be taken."""

    message: str
    reason: str


class JobCounts(TypedDict):
    """How many jobs live."""

    queued: int
    processing: int


class LastJob(TypedDict):
    """How the last job ended."""

    status: Literal["completed", "failed"]
    failed_stage: StageName | None
    ended_at: str


class Health(TypedDict):
    """Whether a job would be taken now. last_job: None before the first."""

    status: Literal["ready", "not_ready"]
    reasons: list[Reason]
    notices: list[str]
    jobs: JobCounts
    last_job: LastJob | None


class Event(TypedDict):
    """Something that happened to a job. seq counts from 1; timestamp: milliseconds since 1970.

    data: of progress_update, job_completed and error it is the Job.
    """

    type: Literal["progress_update", "preview_ready", "stage_completed", "job_completed", "error"]
    job_id: str
    seq: int
    timestamp: int
    data: dict[str, Any]
    snapshot: NotRequired[Literal[True]]
