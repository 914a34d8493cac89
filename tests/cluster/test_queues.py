"""Which queue a job goes to, by the models that the workers of each have."""

import json
import time

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("celery", reason="Celery is not installed")

from character3d.cluster.ledger import LEASE_SECONDS
from character3d.cluster.messages import TASK, make_celery, make_queue, make_sender
from character3d.cluster.queues import QUEUE, find_soonest, merge_models, read_queues
from character3d.tests.rabbitmq_server import run_rabbitmq

from .test_front_door import Cluster, ask_for, make_form, make_png, post, wait_for

XL, TURBO, MINI = "realistic_vision.safetensors", "hunyuan3d-turbo.safetensors", "hunyuan3d-mini.safetensors"


def models(*diffusion, shapes=()):
    return {"diffusion_models": list(diffusion), "3d_models": list(shapes)}


@pytest.fixture
def cluster(postgres, tmp_path):
    cluster = Cluster(postgres.new_schema(), tmp_path)
    cluster.ledger.register("plain", models())
    cluster.ledger.register("a", models(XL, "a.safetensors", shapes=[TURBO, MINI]), "gpu")
    cluster.ledger.register("b", models(XL, "b.safetensors", shapes=[TURBO]), "gpu")
    cluster.ledger.register("c", models("dreamshaper.safetensors"), "paint")
    yield cluster
    cluster.database.close()


async def find_sent(cluster, job_id):
    await wait_for(lambda: job_id in cluster.queues)
    return cluster.queues[job_id]


@pytest.mark.parametrize(
    ("fields", "queue"),
    [
        ({"model_name": XL}, "gpu"),
        ({"mesh_model": TURBO}, "gpu"),
        ({"model_name": "dreamshaper.safetensors"}, "paint"),
        ({}, "gpu"),  # where the shape is a network's
    ],
)
async def test_a_job_goes_where_what_it_names_is(cluster, fields, queue):
    async with cluster.open_doors() as (one, _):
        status, accepted, _ = await post(one, **fields)
        assert status == 202 and await find_sent(cluster, accepted["job_id"]) == queue


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"model_name": "a.safetensors"}, "model_name"),  # one of two workers of the queue has it
        ({"mesh_model": MINI}, "mesh_model"),
        ({"model_name": "nowhere.safetensors"}, "model_name"),
        ({"model_name": "dreamshaper.safetensors", "mesh_model": TURBO}, "model_name"),  # never together
    ],
)
async def test_what_no_queue_has_is_refused_as_a_missing_model(cluster, fields, name):
    async with cluster.open_doors() as (one, _):
        status, body, _ = await post(one, **fields)
        assert (status, body["details"]["parameter"]) == (400, name)
        assert "Must be an installed model" in body["message"]
        assert fields[name] not in body["details"]["allowed"]
        async with one.get("/models") as answer:
            found = await answer.json()
        assert found == models("dreamshaper.safetensors", XL, shapes=[TURBO])


LARGE, SMALL = "hunyuan3d-dit-v2-1-fp16.safetensors", "hunyuan3d-dit-v2-mini-fp16.safetensors"


@pytest.mark.parametrize(
    ("memories", "fields", "queue"),
    [
        ({"little": 6, "much": 12}, {"mesh_model": LARGE}, "much"),  # 7.4 GB
        ({"little": 6, "much": 12}, {"mesh_model": SMALL}, "little"),
        ({"little": 8, "much": 12}, {"mesh_model": SMALL, "model_name": XL, "image_size": "1024"}, "much"),
        ({"little": 8, "much": 12}, {"mesh_model": SMALL, "model_name": XL, "image_size": "512"}, "little"),
        ({"little": 4, "much": 6}, {"mesh_model": LARGE}, "much"),  # ComfyUI moves what does not fit
        ({"little": None, "much": 12}, {"mesh_model": LARGE}, "little"),  # of a ComfyUI that does not say
    ],
)
async def test_a_job_goes_where_its_models_fit(postgres, tmp_path, memories, fields, queue):
    cluster = Cluster(postgres.new_schema(), tmp_path)
    for name, memory in memories.items():
        cluster.ledger.register(name, models(XL, shapes=[LARGE, SMALL]), name, memory)
    cluster.ledger.register("more", models(XL, shapes=[LARGE, SMALL]), "little", memories["little"])
    async with cluster.open_doors() as (one, _):
        status, accepted, _ = await post(one, **fields)
        assert status == 202 and await find_sent(cluster, accepted["job_id"]) == queue
    cluster.database.close()


def test_a_queue_has_the_memory_of_its_smallest_worker():
    stored = json.dumps(models())
    workers = [("gpu", stored, 24.0, True), ("gpu", stored, 12.0, True), ("gpu", stored, 6.0, False)]
    (found,) = read_queues(workers, {})
    assert (found.memory, found.workers) == (12.0, 2)


async def test_the_first_estimate_counts_the_jobs_before(cluster):
    """Two workers take from gpu; every job of it counts, whether it waits or runs."""
    async with cluster.open_doors(jobs=9) as (one, two):
        answers = [(await post(one, key=str(number), model_name=XL))[1] for number in range(5)]
        others = [(await post(one, model_name="dreamshaper.safetensors"))[1] for _ in range(2)]
        low, high = answers[0]["estimated_time_seconds"]
        assert [answer["estimated_time_seconds"] for answer in answers] == [
            [low * rounds, high * rounds] for rounds in (1, 1, 2, 2, 3)
        ]
        first, second = (answer["estimated_time_seconds"] for answer in others)
        assert second == [2 * seconds for seconds in first]
        assert (await post(two, key="4", model_name=XL))[1] == answers[4]  # as it was said first
        attempt = cluster.ledger.claim(answers[4]["job_id"], "a", False)
        cluster.tell(answers[4]["job_id"], attempt, "job_completed", status="completed", progress=100)
        assert (await post(two, key="4", model_name=XL))[1] == answers[4]


async def test_other_mistakes_are_told_as_ever(cluster):
    async with cluster.open_doors() as (one, _):
        status, body, _ = await post(one, image_size="999", model_name="nowhere.safetensors")
        assert status == 400 and body["details"]["parameter"] == "image_size"
        errors = {error["parameter"]: error for error in body["details"]["errors"]}
        assert errors["model_name"]["allowed"] == ["dreamshaper.safetensors", XL]


async def test_a_mesh_goes_where_it_is_begun_soonest(cluster):
    async with cluster.open_doors(jobs=9) as (one, _):
        queues = []
        for _ in range(4):
            async with one.post("/character/rig", data=make_form({"mesh": b"glTF"}, "a.glb")) as answer:
                queues.append(await find_sent(cluster, (await answer.json())["job_id"]))
    assert sorted(queues) == ["character3d", "gpu", "gpu", "paint"]  # two workers take from gpu


async def test_a_job_that_waits_has_a_place_in_its_queue(cluster):
    async with cluster.open_doors(jobs=9) as (one, two):
        for _ in range(3):
            _, accepted, _ = await post(one, model_name=XL)
        await post(one, model_name="dreamshaper.safetensors")
        path = f"/job/{accepted['job_id']}/status"
        body = await ask_for(two, path)
        assert (body["queue_position"], body["current_stage"], body["progress"]) == (3, "queued", 0)
        mean = sum(accepted["estimated_time_seconds"]) / 4  # that is of two rounds
        assert body["estimated_remaining_seconds"] == round(
            3 * mean
        )  # two workers: two rounds before its own
        cluster.ledger.claim(accepted["job_id"], "a", False)
        assert "queue_position" not in await ask_for(two, path)
        listed = await ask_for(one, "/generate_character/jobs")
        assert [job.get("queue_position") for job in listed["jobs"]] == [1, None, 2, 1]


async def test_painted_views_go_where_the_job_was(cluster):
    async with cluster.open_doors() as (one, _):
        _, accepted, _ = await post(one, image_size="512", model_name="dreamshaper.safetensors")
        job_id = accepted["job_id"]
        attempt = cluster.ledger.claim(job_id, "c", False)
        cluster.tell(job_id, attempt, "job_completed", status="completed", progress=100)
        form = make_form({"front": make_png(512)})
        async with one.post(f"/generate_character/jobs/{job_id}/views", data=form) as answer:
            assert await find_sent(cluster, (await answer.json())["job_id"]) == "paint"


async def test_workers_that_are_away_count_only_where_all_are(cluster):
    with cluster.database.engine.transaction() as session:
        session.execute("UPDATE workers SET heard = heard - ? WHERE name IN ('b', 'c')", (2 * LEASE_SECONDS,))
    async with cluster.open_doors() as (one, _):
        status, accepted, _ = await post(one, model_name="a.safetensors")  # a alone is heard of, and has it
        assert status == 202 and await find_sent(cluster, accepted["job_id"]) == "gpu"
        status, accepted, _ = await post(one, model_name="dreamshaper.safetensors")
        assert status == 202 and await find_sent(cluster, accepted["job_id"]) == "paint"


def test_a_cluster_without_workers_has_one_queue():
    assert (read_queues([], {}), merge_models([]), find_soonest([])) == ([], ([], []), QUEUE)


@pytest.mark.nightly
def test_each_worker_takes_from_its_queue():
    with run_rabbitmq() as broker:
        if broker is None:
            pytest.skip("RabbitMQ is not installed")
        send = make_sender(make_celery(broker.url))
        send("first", "character3d.gpu")
        send("second", QUEUE)
        taken = {}
        for name in ("character3d.gpu", QUEUE):
            app = make_celery(broker.url, name)
            assert [queue.name for queue in app.conf.task_queues] == [name]
            with app.connection_for_read() as connection:
                message = take_one(make_queue(name)(connection.default_channel))
                taken[name] = (message.headers["task"], message.headers["id"])
                message.ack()
        assert taken == {"character3d.gpu": (TASK, "first"), QUEUE: (TASK, "second")}


def take_one(queue):
    deadline = time.monotonic() + 20
    while (message := queue.get()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return message
