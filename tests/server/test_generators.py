"""Programs that write clients take the OpenAPI document without a warning, and what they write works."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from character3d.launcher.environment import find_python
from character3d.server_routes.openapi import describe_service

from .conftest import make_png

pytestmark = pytest.mark.nightly
USE_PYTHON = """
import sys, time
from pathlib import Path
from generated import Client
from generated.api.default import generate_character, get_status
from generated.models import Acceptance, CompletedJob, GenerateCharacterBody, ProcessingJob
from generated.models.generate_character_body_character_format import GenerateCharacterBodyCharacterFormat
from generated.types import File

client = Client(base_url=sys.argv[1])
image = File(payload=Path(sys.argv[2]).open("rb"), file_name="knight.png", mime_type="image/png")
vrm = GenerateCharacterBodyCharacterFormat.VRM
body = GenerateCharacterBody(image=image, steps=7, fingers=True, character_format=vrm, prompt="a knight")
accepted = generate_character.sync(client=client, body=body)
assert isinstance(accepted, Acceptance), accepted
chosen = accepted.parameters
assert (chosen.steps, chosen.fingers, chosen.prompt) == (7, True, "a knight"), chosen
while isinstance(job := get_status.sync(str(accepted.job_id), client=client), ProcessingJob):
    time.sleep(0.2)
assert isinstance(job, CompletedJob) and job.progress == 100, job
print(job.results.rigged_character)
"""


@pytest.fixture(scope="module")
def generators():
    folder = Path(os.environ.get("CHARACTER3D_GENERATORS", "/nowhere"))
    if not folder.is_dir() or not shutil.which("node"):
        pytest.skip("no generators here; `python quickstart.py nightly` installs them")
    return folder


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_text(json.dumps(describe_service()))
    return path


def run_quietly(*command, folder, **variables):
    """What a program says; it must end well, and say nothing of a warning or an error."""
    environment = {**os.environ, **variables, "NO_COLOR": "1"}
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "warn" not in said.lower() and "error" not in said.lower(), said
    return said


def test_a_generated_python_client_makes_a_character(generators, document, comfyui, tmp_path):
    python = find_python(generators / "venv")
    config = tmp_path / "config.yml"
    config.write_text("project_name_override: generated\npackage_name_override: generated\n")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = (python.parent / "openapi-python-client", "generate", "--path", document, "--config", config)
    run_quietly(*command, "--fail-on-warning", folder=tmp_path, PATH=path)
    (tmp_path / "knight.png").write_bytes(make_png())
    (tmp_path / "use.py").write_text(USE_PYTHON)
    use = (python, "use.py", comfyui.url, tmp_path / "knight.png")
    said = run_quietly(*use, folder=tmp_path, PYTHONPATH=str(tmp_path / "generated"))
    assert said.strip().endswith(".vrm")


def test_generated_models(generators, document, tmp_path):
    python = find_python(generators / "venv")
    kind = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    options = (*kind, "--formatters", "builtin", "--output", "models.py")
    run_quietly(python.parent / "datamodel-codegen", "--input", document, *options, folder=tmp_path)
    script = "import models; models.Error(status='error', error_code='SERVER_BUSY', message='', details={})"
    run_quietly(python, "-c", script, folder=tmp_path)


USE_TYPESCRIPT = {
    "openapi-typescript": """import type { paths } from './types';
type Form = paths['/generate_character']['post']['requestBody']['content']['multipart/form-data'];
export const form: Form = { steps: 3, character_format: 'vrm' };
""",
    "openapi-ts": """import { generateCharacter } from './client';
generateCharacter({ body: { image: new Blob(), steps: 3, character_format: 'vrm' } })
  .then(({ data }) => data?.job_id.length);
""",
}


@pytest.mark.parametrize(
    ("program", "options"),
    [("openapi-typescript", "{} -o types.ts"), ("openapi-ts", "-i {} -o client")],
)
def test_generated_typescript(generators, document, tmp_path, program, options):
    """It compiles, and its types take the fields of the form."""
    programs = generators / "node_modules" / ".bin"
    shutil.copy(generators / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(generators / "node_modules", target_is_directory=True)
    run_quietly(programs / program, *options.format(document).split(), folder=tmp_path)
    (tmp_path / "use.ts").write_text(USE_TYPESCRIPT[program])
    strict = "--noEmit --strict --skipLibCheck --target esnext --module esnext --moduleResolution bundler"
    run_quietly(
        programs / "tsc", *strict.split(), "--lib", "esnext,dom,dom.iterable", "use.ts", folder=tmp_path
    )
