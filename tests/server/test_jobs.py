"""Job state from ComfyUI's events, in orders and shapes that a real run does not show every day."""

import asyncio
from pathlib import Path

import pytest
from character3d.server_routes.downloads import content_disposition
from character3d.server_routes.estimates import STAGE_SECONDS, Estimate
from character3d.server_routes.events import MAX_WAITING, Event, EventLog, Subscriber
from character3d.server_routes.files import JobFile, measure_files, read_file_entry, remove_files
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.jobs import Failure, Job
from character3d.server_routes.listener import JobListener
from character3d.server_routes.live_job import LiveJob
from character3d.server_routes.parameters import parse_parameters
from character3d.server_routes.status import describe_job

EXPECTED = Estimate((15, 45), STAGE_SECONDS)
STAGES = ["preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"]
PREPROCESSING = (
    *("Load picture", "Transparency to subject mask", "Preprocess picture", "Framed picture"),
    *("Edit figure", "Figure", "Save figure"),
)
FILES = {
    "Save figure": "figure.json",
    "Save views": "views.zip",
    "Quality report": "report.json",
    "Save raw mesh": "raw.glb",
    "Save textured mesh": "textured.glb",
    "Save rigged character": "rigged.fbx",
    "Preview raw mesh": "raw.png",
    "Preview textured mesh": "textured.png",
}


class Run:
    """A job, its listener, and short ways to send it events."""

    def __init__(self, **form):
        parameters = parse_parameters(form, [])
        graph = build_graph(load_template(), "job", {"image": "x.png"}, parameters.values)
        self.job = Job("job", "user", parameters, graph, EXPECTED)
        self.live = LiveJob(self.job)
        self.ended = 0
        self.listener = JobListener(self.job, self._on_end, lambda message: message)
        self.ids = {node["_meta"]["title"]: node_id for node_id, node in graph.prompt.items()}
        self.listener.use_outputs(list(self.ids.values()))

    def _on_end(self):
        self.ended += 1

    def send(self, event, **data):
        asyncio.run(self.listener.send_json({"type": event, "data": {"prompt_id": "job", **data}}))

    def progress(self, **values):
        nodes = {
            self.ids[title.replace("_", " ")]: {"value": value, "max": 10, "state": "running"}
            for title, value in values.items()
        }
        self.send("progress_state", nodes=nodes)

    def finish(self, *titles):
        nodes = {self.ids[title]: {"value": 1, "max": 1, "state": "finished"} for title in titles}
        self.send("progress_state", nodes=nodes)

    def output(self, title):
        if title in FILES:
            entry = {"filename": FILES[title], "subfolder": "3D", "type": "output"}
            return {"character3d_file": [entry]}
        stage = self.job.graph.node_stages[self.ids[title]]
        report = {"stage": stage, "method": "m", "seconds": 1.5, "warnings": [], "ignored_inputs": []}
        return {"character3d_report": [report]}

    def types(self):
        return [event.type for event in self.live.log.since(0)]


@pytest.fixture
def run():
    return Run()


def test_stages_complete_in_their_order_even_when_nodes_do_not(run):
    run.send("execution_start")
    run.finish(*PREPROCESSING)
    run.finish("Generate mesh", "Generate views", "Six views")
    assert run.job.completed_stages == ("preprocessing",)
    assert run.job.current_stage == "mesh_generation"
    run.finish("Save raw mesh", "Show raw mesh", "Preview raw mesh", "Save views")
    assert run.job.completed_stages == tuple(STAGES[:3])
    stages = [event.data["stage"] for event in run.live.log.since(0) if event.type == "stage_completed"]
    assert stages == STAGES[:3]


def test_progress_never_falls_and_stays_below_100(run):
    run.send("execution_start")
    run.progress(Generate_mesh=8)
    before = run.job.progress
    run.progress(Generate_mesh=2)
    assert run.job.progress == before > 0
    run.progress(Generate_mesh=1000, Generate_views=-5)
    assert before <= run.job.progress < 100
    run.finish(*run.ids)
    assert run.job.progress == 99
    assert describe_job(run.job)["status"] == "processing"


def test_foreign_and_malformed_events_are_left_alone(run):
    asyncio.run(run.listener.send_json({"type": "execution_start", "data": {"prompt_id": "other"}}))
    run.send("status", status={})
    run.send("unheard_of")
    run.send("progress_state", nodes={"9.0.0.1": {"value": 1, "max": 0, "state": "running"}})
    run.send("progress_state", nodes="nonsense")
    run.send("executed", node="9.0.0.7", output={"character3d_file": [{"filename": "x", "type": "output"}]})
    asyncio.run(run.listener.send_bytes(b"preview"))
    assert run.job.files == []
    assert (run.job.progress, run.job.completed_stages, run.listener.outcome) == (0, (), None)


def test_everything_can_be_read_from_the_history_alone(run, tmp_path):
    outputs = {run.ids[title]: run.output(title) for title in [*FILES, "Generate mesh"]}
    messages = [("execution_start", {"prompt_id": "job"}), ("execution_success", {"prompt_id": "job"})]
    entry = {"outputs": outputs, "status": {"completed": True, "messages": messages}}
    run.listener.absorb_history(entry)
    run.listener.absorb_history(entry)
    assert run.listener.outcome is True
    assert sorted(file.name for file in run.job.files) == sorted(FILES.values())
    (tmp_path / "3D").mkdir()
    for name in FILES.values():
        (tmp_path / "3D" / name).write_bytes(b"12345")
    run.job.complete(measure_files(tmp_path, run.job.files))
    body = describe_job(run.job)
    assert body["results"] == {
        "raw_mesh": "/output/3D/raw.glb",
        "textured_mesh": "/output/3D/textured.glb",
        "rigged_character": "/output/3D/rigged.fbx",
        "preview_images": ["/output/3D/raw.png", "/output/3D/textured.png"],
    }
    assert {download["size"] for download in body["downloads"]} == {5}
    assert run.types()[-1] == "job_completed"
    assert [
        event.data["stage"] for event in run.live.log.since(0) if event.type == "stage_completed"
    ] == STAGES


def test_cached_nodes_count_as_done(run):
    run.listener.use_outputs([run.ids["Generate mesh"], run.ids["Save raw mesh"]])
    run.send("execution_start")
    run.send("execution_cached", nodes=[run.ids["Load picture"], run.ids["Generate mesh"]])
    assert run.job.progress == 1  # the loaded picture alone: Generate mesh has an output to send
    run.send("executed", node=run.ids["Generate mesh"], output=run.output("Generate mesh"))
    run.finish("Generate mesh")
    mesh = describe_job(run.job)["stages"][1]
    assert (mesh["method"], mesh["seconds"], mesh["cached"]) == ("m", 1.5, True)


def test_error_of_an_unknown_node_is_put_down_to_the_current_stage(run):
    run.send("execution_start")
    run.finish(*PREPROCESSING)
    run.send("execution_error", node_id="77", exception_message="boom\n")
    assert run.listener.outcome == Failure("Mesh generation failed", "boom\n", "mesh_generation")
    run.send("executing", node=None)
    assert run.ended == 1


def test_nothing_changes_a_job_that_has_ended(run):
    run.send("execution_start")
    run.job.fail(Failure("Cancelled", "", "preprocessing", cancelled=True), {})
    body = describe_job(run.job)
    run.finish(*run.ids)
    run.send("executed", node=run.ids["Save raw mesh"], output=run.output("Save raw mesh"))
    run.send("execution_start")
    body["processing_time_seconds"] = describe_job(run.job)["processing_time_seconds"]
    assert describe_job(run.job) == body
    assert run.types().count("error") == 1


def test_a_field_is_ignored_only_if_every_stage_that_takes_it_says_so():
    run = Run(seed="5", steps="3")
    for title, ignored in [("Generate mesh", ["seed"]), ("Generate views", ["steps"])]:
        output = run.output(title)
        output["character3d_report"][0]["ignored_inputs"] = ignored
        run.send("executed", node=run.ids[title], output=output)
    warnings = describe_job(run.job)["warnings"]
    assert "steps: not used by the method m" in warnings
    assert not any(warning.startswith("seed") for warning in warnings)


async def test_slow_client_gets_newest_progress_and_then_is_given_up():
    subscriber = Subscriber()

    def event(kind, seq):
        return Event(kind, "job", seq, 0, {})

    for seq in range(1000):
        subscriber.offer(event("progress_update", seq))
    subscriber.offer(event("stage_completed", 1000))
    assert (await subscriber.take()).seq == 999
    assert (await subscriber.take()).seq == 1000
    for seq in range(MAX_WAITING + 1):
        subscriber.offer(event("stage_completed", seq))
    assert subscriber.overflowed and await subscriber.take() is None


def test_log_numbers_have_no_gap_and_progress_goes_with_the_end():
    log = EventLog("job")
    for _ in range(5):
        log.publish(log.create("progress_update", {}))
    log.publish(log.create("stage_completed", {}))
    assert [event.seq for event in log.since(0)] == [1, 2, 3, 4, 5, 6]
    log.publish(log.create("job_completed", {}))
    assert [event.seq for event in log.since(0)] == [6, 7]


def test_file_entries():
    assert read_file_entry({"filename": "a.png", "type": "temp"}, "k", "s") is None
    assert read_file_entry({"filename": "a.png", "subfolder": "x\\y", "type": "output"}, "k", "s") == JobFile(
        "k", "s", "x/y/a.png"
    )


def test_files_outside_linked_or_empty_do_not_count(tmp_path):
    output = tmp_path / "output"
    (output / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (output / "empty.glb").touch()
    (output / "link.glb").symlink_to(tmp_path / "secret")
    (output / "linked").symlink_to(tmp_path)
    (output / "good.glb").write_text("x")
    names = ["../secret", "empty.glb", "link.glb", "linked/secret", "sub", "nothing", "good.glb"]
    found = measure_files(output, [JobFile("k", "s", name) for name in names])
    assert [file.relative for file in found] == ["good.glb"]


def test_content_disposition():
    assert content_disposition("result.glb") == 'attachment; filename="result.glb"'
    assert (
        content_disposition('a"é.glb') == "attachment; filename=\"a__.glb\"; filename*=UTF-8''a%22%C3%A9.glb"
    )


def test_a_file_that_cannot_be_deleted_is_left_and_said(tmp_path, monkeypatch, caplog):
    files = [JobFile("raw_mesh", "mesh_generation", name) for name in ("held.glb", "free.glb", "none.glb")]
    for name in ("held.glb", "free.glb"):
        (tmp_path / name).write_bytes(b"x")
    unlink = Path.unlink

    def refuse(path, **options):
        if path.name == "held.glb":
            raise PermissionError(path.name)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert not remove_files(tmp_path, files)
    assert [path.name for path in tmp_path.iterdir()] == ["held.glb"] and "held.glb" in caplog.text
    assert remove_files(tmp_path, files[1:])
