"""What a cluster uses between two moments: processor seconds by part, and rows, commits and bytes."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.cluster_parts import Cluster

_TICKS = os.sysconf("SC_CLK_TCK")
_STATISTICS = (
    "SELECT xact_commit, tup_inserted, tup_updated, tup_deleted, (SELECT wal_bytes FROM pg_stat_wal)"
    " FROM pg_stat_database WHERE datname = current_database()"
)


class Usage:
    """Begins when it is made."""

    def __init__(self, cluster: Cluster) -> None:
        self._before = _read(cluster)

    def compare(self, jobs: int, cluster: Cluster) -> dict[str, Any]:
        """The same for each of a number of jobs."""
        after = _read(cluster)
        return {name: (value - self._before[name]) / jobs for name, value in after.items()}

    def describe(self, jobs: int, cluster: Cluster) -> str:
        found = self.compare(jobs, cluster).items()
        return "    a job: " + ", ".join(f"{name} {value:.3g}" for name, value in found)


def _read(cluster: Cluster) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for name, process in cluster.processes.items():
        found[f"CPU s {name.rstrip('0123456789')}"] += sum_seconds(process.pid)
    found["CPU s postgres"] = sum_seconds(cluster.postgres._process.pid)
    found["CPU s rabbitmq"] = sum_seconds(cluster.broker._process.pid)
    with psycopg.connect(cluster.database, autocommit=True) as connection:
        row = connection.execute(_STATISTICS).fetchone()
    names = ("commits", "rows inserted", "rows updated", "rows deleted", "WAL bytes")
    found |= {name: float(value) for name, value in zip(names, row or (), strict=True)}
    files = [path for path in (cluster.folder / "files").rglob("*") if path.is_file()]
    return {
        **found,
        "files": float(len(files)),
        "file bytes": float(sum(path.stat().st_size for path in files)),
    }


def sum_seconds(pid: int) -> float:
    """Processor seconds of a process and of what it started; what ends meanwhile is its parent's then."""
    try:
        own, tasks = _read_stat(pid), list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + sum(map(sum_seconds, children))


def _read_stat(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS
