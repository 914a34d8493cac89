"""A client of the Character3D service: one small package of the standard library alone, to use or to copy."""

from .client import Client, ServiceError
from .types import (
    Acceptance,
    CompletedJob,
    Download,
    Error,
    Event,
    FailedJob,
    Health,
    Job,
    JobList,
    Models,
    Parameters,
    ProcessingJob,
    Results,
    Stage,
)

__all__ = [
    "Acceptance",
    "Client",
    "CompletedJob",
    "Download",
    "Error",
    "Event",
    "FailedJob",
    "Health",
    "Job",
    "JobList",
    "Models",
    "Parameters",
    "ProcessingJob",
    "Results",
    "ServiceError",
    "Stage",
]
