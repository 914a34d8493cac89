"""Godot 3 imports a GLB file into a project, plays its clips, and reports as README.md here states."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SERVER = "godot3-server"
SECONDS = 80
PROJECT = 'config_version=4\n[application]\nconfig/name="reader"\n'


def start_godot(folder, *arguments):
    """Start the server; its own settings and cache stay in the folder, its log is the folder's log.txt."""
    homes = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    with Path(folder, "log.txt").open("a") as log:
        command = [SERVER, "--path", folder, *arguments]
        return subprocess.Popen(command, env=os.environ | homes, stdout=log, stderr=log)


def import_model(folder):
    """The editor imports what is in its project; told to quit, 3.2.3 may stay, so it is ended after that."""
    editor, deadline = start_godot(folder, "--editor", "--quit"), time.monotonic() + SECONDS
    while not list(Path(folder, ".import").glob("model.glb-*.md5")) and time.monotonic() < deadline:
        time.sleep(0.2)
    editor.kill()
    editor.wait()


def ask_godot(model, ask):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, Path(folder, "model.glb"))
        shutil.copy(ask, Path(folder, "ask.json"))
        shutil.copy(Path(__file__).with_suffix(".gd"), Path(folder, "read.gd"))
        Path(folder, "project.godot").write_text(PROJECT)
        import_model(folder)
        start_godot(folder, "--script", "read.gd").wait(SECONDS)
        report = Path(folder, "report.json")
        if not report.exists():
            raise SystemExit(Path(folder, "log.txt").read_text())
        return json.loads(report.read_text())


def pose(points, report, places):
    """Linear blending, by where Godot has the bones (J, 4, 4)."""
    moves = {at: places[bind["bone"]] @ np.array(bind["pose"]) for at, bind in enumerate(report["binds"])}
    joints, weights = (np.array(report[name]).reshape(len(points), 4) for name in ("joints", "weights"))
    lifted = np.c_[points, np.ones(len(points))]
    blended = np.zeros_like(lifted)
    for at, move in moves.items():
        blended += (weights * (joints == at)).sum(axis=1, keepdims=True) * (lifted @ move.T)
    return blended[:, :3]


def main(model, ask, report_path):
    read = ask_godot(model, ask)
    names = [bone["name"] for bone in read["bones"]]
    points = np.array(read["positions"])
    corners = np.array(read["indices"], int).reshape(-1, 3)[:, (0, 2, 1)]  # Godot's front faces are clockwise
    bound = {names[bind["bone"]]: np.array(bind["pose"]) for bind in read["binds"]}
    result = {
        "vertex_count": len(points),
        "surfaces": read["surfaces"],
        "joints": {
            bone["name"]: {
                "parent": names[bone["parent"]] if bone["parent"] >= 0 else None,
                "rest": np.linalg.inv(bound[bone["name"]]).tolist() if bone["name"] in bound else None,
                "inverse_bind": bound[bone["name"]].tolist() if bone["name"] in bound else None,
            }
            for bone in read["bones"]
        },
        **{name: np.array(read[name])[corners].tolist() for name in ("positions", "normals", "uvs")},
        "clips": {
            name: [pose(points, read, np.array(places))[corners].tolist() for places in moments]
            for name, moments in read["clips"].items()
        },
        "texture": {"size": read["texture"]},
    }
    Path(report_path).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
