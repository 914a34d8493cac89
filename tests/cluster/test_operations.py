"""What operators ask front doors and workers: probes, and metrics, which Prometheus's own parser reads."""

import asyncio
import contextlib
import dataclasses
import json
import re
import socket
import threading
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from character3d.cluster import operations
from character3d.cluster.ledger import Ledger, Limits
from character3d.cluster.messages import BrokerError
from character3d.cluster.metrics import FrontDoorCollector, WorkerMetrics
from character3d.cluster.operations import make_operations, serve_operations, start_operations
from character3d.server_routes import postgres_migrations
from character3d.server_routes.database import Row
from character3d.server_routes.database_engine import DatabaseError
from character3d.server_routes.health import Metrics
from character3d.server_routes.postgres_engine import PostgresEngine
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY = Path(__file__).resolve().parents[2]
BODY = {"reports": [{"stage": "rigging", "method": "fitted", "seconds": 1.5}], "failure": None}


class PlayedBroker:
    """Has so many messages, or is away."""

    def __init__(self):
        self.waiting, self.is_away = {"character3d": 3}, False

    def count_messages(self, further=()):
        if self.is_away:
            raise BrokerError("it is away")
        return {**dict.fromkeys(further, 0), **self.waiting}


def read_samples(text):
    """{(name, its labels' values, by the alphabet): value}, as Prometheus reads them."""
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


def make_row(job_id="a", state="completed", created=0.0, **body):
    return Row(job_id, "anna", created, None, state, {**BODY, **body}, json.dumps({}))


@contextlib.asynccontextmanager
async def ask(registry, checks):
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serve_operations(make_operations(registry, checks), listener),
        aiohttp.ClientSession(address) as session,
    ):
        yield session


async def read(session, path):
    async with session.get(path) as answer:
        return answer.status, await (answer.json() if path != "/metrics" else answer.text())


@pytest.fixture
def engine(postgres):
    engine = PostgresEngine(postgres.new_schema())
    yield engine
    engine.close()


async def test_a_worker_counts_what_it_does(monkeypatch):
    monkeypatch.setattr("character3d.cluster.metrics.time.time", lambda: 1000.0)
    metrics = WorkerMetrics()
    metrics.count_begin(make_row(created=997.0), 1)
    metrics.count_begin(make_row(created=1.0), 2)
    metrics.count_end(make_row())
    metrics.count_end(make_row(state="failed", failure={"cancelled": True}))
    async with ask(metrics.registry, {}) as session:
        samples = read_samples((await read(session, "/metrics"))[1])
    assert samples["character3d_queue_wait_seconds_sum",] == 3
    assert samples["character3d_queue_wait_seconds_bucket", "2.0"] == 0
    assert samples["character3d_queue_wait_seconds_bucket", "5.0"] == 1
    assert samples["character3d_redeliveries_total",] == 1
    assert samples["character3d_stage_seconds_sum", "fitted", "rigging"] == 3
    ended = {state: samples["character3d_jobs_ended_total", state] for state in ("completed", "cancelled")}
    assert ended == {"completed": 1, "cancelled": 1}
    assert samples["character3d_jobs_ended_total", "failed"] == samples["character3d_worker_busy",] == 0


async def test_a_front_door_tells_of_the_cluster(engine):
    ledger, metrics, broker, registry = Ledger(engine), Metrics(), PlayedBroker(), CollectorRegistry()
    ledger.register("one", {"diffusion_models": [], "3d_models": []}, "character3d.gpu")
    assert ledger.accept(make_row(state="queued"), None) is None
    metrics.accepted, metrics.refused["rate_limit"], metrics.ended["cancelled"] = 1, 2, 3
    registry.register(FrontDoorCollector(metrics, ledger, broker))
    async with ask(registry, {}) as session:
        samples = read_samples((await read(session, "/metrics"))[1])
        broker.is_away = True
        without_broker = read_samples((await read(session, "/metrics"))[1])
    assert samples["character3d_jobs_accepted_total",] == samples["character3d_workers_alive",] == 1
    assert samples["character3d_requests_refused_total", "rate_limit"] == 2
    assert samples["character3d_jobs_ended_total", "cancelled"] == 3
    assert samples["character3d_jobs_live", "queued"] == samples["character3d_outbox_messages",] == 1
    assert samples["character3d_oldest_wait_seconds",] == 0  # created at 0: no moment of a real job
    assert samples["character3d_queue_messages", "character3d"] == 3
    assert samples["character3d_queue_messages", "character3d.gpu"] == 0
    assert samples["character3d_parts_reachable", "broker"] == 1
    assert ("character3d_queue_messages", "character3d") not in without_broker
    assert without_broker["character3d_parts_reachable", "broker"] == 0
    assert without_broker["character3d_parts_reachable", "database"] == 1


async def test_ready_says_which_part_does_not_answer():
    broker = PlayedBroker()

    def fail():
        raise DatabaseError("no connection")

    checks = {"database": lambda: 1, "broker": broker.count_messages}
    async with ask(CollectorRegistry(), checks) as session:
        answer = await read(session, "/ready")
        assert answer == (200, {"status": "ready", "parts": dict.fromkeys(checks, "reachable")})
        broker.is_away, checks["database"] = True, fail
        parts = {"database": "reachable", "broker": "it is away"}
        assert await read(session, "/ready") == (503, {"status": "not_ready", "parts": parts})
        assert await read(session, "/live") == (200, {"status": "live"})
    async with ask(CollectorRegistry(), checks) as session:
        assert (await read(session, "/ready"))[1]["parts"]["database"] == "no connection"


async def test_a_part_that_hangs_takes_one_thread_however_many_ask(monkeypatch):
    monkeypatch.setattr(operations, "PATIENCE", 0.05)
    asked, goes_on = [], threading.Event()

    def hang():
        asked.append(1)
        goes_on.wait(30)

    async with ask(CollectorRegistry(), {"database": hang}) as session:
        answers = await asyncio.gather(*(read(session, "/ready") for _ in range(5)))
        goes_on.set()
    assert [status for status, _ in answers] == [503] * 5 and len(asked) == 1
    assert "has not answered" in answers[0][1]["parts"]["database"]


async def test_a_process_without_an_event_loop_answers_from_a_thread():
    listener = socket.create_server(("127.0.0.1", 0))
    start_operations(make_operations(WorkerMetrics().registry, {}), listener)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
        assert await read(session, "/ready") == (200, {"status": "ready", "parts": {}})


def read_statement():
    """The runbook's statement after a restore."""
    text = (REPOSITORY / "docs" / "operate.md").read_text()
    (statement,) = re.findall(r"^```sql\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)
    return statement


def test_messages_that_the_broker_lost_are_made_anew_by_the_runbooks_statement(engine):
    ledger, sent = Ledger(engine, Limits(jobs=3)), []
    for job_id, state in (("lost", "queued"), ("waits", "queued"), ("ended", "completed")):
        assert ledger.accept(make_row(job_id, state), None) is None
        if job_id == "ended":
            ended = dataclasses.replace(make_row(job_id, state), ended=1.0)
            ledger.record(ended, 0)
        if job_id != "waits":
            with engine.transaction() as session:
                session.execute("DELETE FROM messages WHERE job_id = ?", (job_id,))
    for _ in range(2):  # a second time changes nothing
        with engine.transaction() as session:
            session.execute(read_statement())
    ledger.send_messages(lambda job_id, queue: sent.append(job_id))
    assert sorted(sent) == ["lost", "waits"]


def test_old_processes_go_on_after_a_later_release_has_migrated_and_none_starts(postgres, monkeypatch):
    url = postgres.new_schema()
    with contextlib.closing(PostgresEngine(url)) as old:
        later = (*postgres_migrations.MIGRATIONS, ("ALTER TABLE jobs ADD later INTEGER",))
        with monkeypatch.context() as patch:
            patch.setattr(postgres_migrations, "MIGRATIONS", later)
            with contextlib.closing(PostgresEngine(url)) as new:
                assert Ledger(old).accept(make_row(state="queued"), None) is None
                assert Ledger(new).claim("a", "worker", False) == 1
                Ledger(old).register("old", {"diffusion_models": [], "3d_models": []})
                assert Ledger(new).count_workers() == 1
        with pytest.raises(DatabaseError, match=f"schema version {len(later)}"):
            PostgresEngine(url)


def read_columns(engine):
    """What the tables have: (table, column) -> type, and whether a row may be written without it."""
    found = engine.read(
        "SELECT table_name, column_name, data_type, is_nullable = 'YES' OR column_default IS NOT NULL"
        " OR is_identity = 'YES' FROM information_schema.columns WHERE table_schema = current_schema()"
    )
    return {(table, column): (kind, is_free) for table, column, kind, is_free in found}


@pytest.mark.parametrize("version", range(1, len(postgres_migrations.MIGRATIONS)))
def test_what_an_earlier_release_reads_and_writes_is_there_after_the_upgrade(postgres, monkeypatch, version):
    """Its tables and columns are as they were, and rows are written without those that came later."""
    url = postgres.new_schema()
    with monkeypatch.context() as patch:
        patch.setattr(postgres_migrations, "MIGRATIONS", postgres_migrations.MIGRATIONS[:version])
        with contextlib.closing(PostgresEngine(url)) as old:
            before = read_columns(old)
    with contextlib.closing(PostgresEngine(url)) as new:
        after = read_columns(new)
    assert before and before.items() <= after.items()
    tables = {table for table, _ in before}
    assert all(is_free for key, (_, is_free) in after.items() if key not in before and key[0] in tables)
