"""What lies in deploy/ is valid, and names commands, variables, files and metrics that exist.

Images are not built and nothing is deployed here: docs/operate.md says what was not run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
pytest.importorskip("promql_parser", reason="promql-parser is not installed")
pytest.importorskip("psycopg", reason="psycopg is not installed")

import kubernetes_validate
import promql_parser
from character3d.cluster.commands import make_parser
from character3d.cluster.messages import DEAD_QUEUE, QUEUE
from character3d.cluster.metrics import FrontDoorCollector, WorkerMetrics
from character3d.launcher.cores import NEWEST, OFFICIAL_SOURCE
from character3d.launcher.torch_wheels import WHEELS
from character3d.server_routes.health import Metrics

REPOSITORY = Path(__file__).resolve().parent.parent
DEPLOY = REPOSITORY / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.29", "1.35"
WITHOUT_SCHEMA = {"Kustomization", "ScaledObject", "TriggerAuthentication"}
"""Kinds that Kubernetes itself does not have."""
YAML = [path for path in FILES if path.suffix == ".yaml"]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
BOARD = json.loads((DEPLOY / "grafana" / "board.json").read_text())


def read_manifests():
    return [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]


def find_commands(value):
    """The lists of words in a document that begin with python cluster."""
    if isinstance(value, dict):
        return [command for part in value.values() for command in find_commands(part)]
    if not isinstance(value, list):
        return []
    if value[:2] == ["python", "cluster"]:
        return [value[2:]]
    return [command for part in value for command in find_commands(part)]


def read_instructions(dockerfile):
    """(instruction, rest) of a Dockerfile's lines, continued ones as one."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix == ".yaml"], ids=lambda path: path.name
)
def test_yaml_is_yaml(path):
    assert all(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_manifests_are_of_their_schemas(version):
    kinds = []
    for manifest in read_manifests():
        if manifest["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(manifest, version, strict=True)
            kinds.append(manifest["kind"])
    assert kinds.count("Deployment") == kinds.count("PodDisruptionBudget") == 2


def test_manifests_name_each_other():
    manifests = read_manifests()
    names = {(manifest["kind"], manifest.get("metadata", {}).get("name")) for manifest in manifests}
    resources = next(one for one in manifests if one["kind"] == "Kustomization")["resources"]
    others = {"kustomization.yaml", "secret.example.yaml"}
    assert set(resources) == {path.name for path in MANIFESTS} - others
    scaled = next(one for one in manifests if one["kind"] == "ScaledObject")["spec"]
    (trigger,) = scaled["triggers"]
    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in names
    assert trigger["metadata"]["queueName"] == QUEUE
    assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
    keys = next(one for one in manifests if one["kind"] == "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert ("Secret", keys[0]["name"]) in names
    for deployment in (one for one in manifests if one["kind"] == "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for volume in pod["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or ("PersistentVolumeClaim", claim) in names
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            ports = {port["name"] for port in container.get("ports", ())}
            probes = (container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness"))
            assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= ports
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounts <= {volume["name"] for volume in pod["volumes"]}


def test_services_of_compose_name_each_other():
    services, volumes = COMPOSE["services"], set(COMPOSE["volumes"])
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        host = service.get("network_mode", "").removeprefix("service:")
        assert not host or host in service["depends_on"], name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in volumes, volume
        build = service.get("build")
        assert not build or (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "compose.yaml").read_text())["scrape_configs"]
    assert set(scraped[0]["dns_sd_configs"][0]["names"]) <= set(services)


def test_commands_are_those_of_the_cluster():
    found = find_commands(COMPOSE) + find_commands(read_manifests())
    for dockerfile in DEPLOY.glob("*.Dockerfile"):
        found += [json.loads(rest)[2:] for word, rest in read_instructions(dockerfile) if word == "CMD"]
    parsed = [make_parser().parse_args(words) for words in found]
    assert {options.part for options in parsed} == {"front-door", "worker"} and len(parsed) == 5
    assert {options.operations_port for options in parsed} == {9188}


def test_variables_are_read_by_the_code():
    texts = {path: path.read_text() for path in FILES}
    named = {name for text in texts.values() for name in re.findall(r"CHARACTER3D_[A-Z_]+", text)}
    code = "".join(
        path.read_text()
        for folder in ("cluster", "server_routes")
        for path in (REPOSITORY / folder).glob("*.py")
    )
    assert named and {name for name in named if f'"{name}"' not in code} == set()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", texts[DEPLOY / "compose.yaml"]))
    given = set(re.findall(r"^([A-Z0-9_]+)=", texts[DEPLOY / ".env.example"], re.MULTILINE))
    assert asked <= given and given - asked == {"COMPOSE_PROJECT_NAME"}


def test_dockerfiles_take_what_is_there():
    for dockerfile in DEPLOY.glob("*.Dockerfile"):
        for word, rest in read_instructions(dockerfile):
            sources = rest.split()[:-1] if word == "COPY" else []
            assert [source for source in sources if not (REPOSITORY / source).exists()] == []
        for line in Path(f"{dockerfile}.dockerignore").read_text().splitlines():
            name = line.removeprefix("!")
            assert not line.startswith("!") or (REPOSITORY / name).exists(), line
    given = dict(
        rest.split("=", 1) for word, rest in read_instructions(DEPLOY / "worker.Dockerfile") if word == "ARG"
    )
    assert given["COMFYUI"] == NEWEST.tag and given["COMFYUI_SOURCE"] == OFFICIAL_SOURCE
    assert given["TORCH_WHEELS"] == f"{WHEELS}cpu"


class _Ledger:
    def count_jobs(self):
        return {}

    def list_queues(self):
        return []

    def measure_backlog(self):
        return 0, 0.0

    def count_workers(self):
        return 0


class _Broker:
    def count_messages(self, further):
        return {QUEUE: 0, DEAD_QUEUE: 0}


def list_metrics():
    families = [
        *WorkerMetrics().registry.collect(),
        *FrontDoorCollector(Metrics(), _Ledger(), _Broker()).collect(),
    ]
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


def test_rules_and_the_board_ask_for_metrics_that_are_counted():
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"][0]["rules"]
    tested = yaml.safe_load((DEPLOY / "prometheus" / "rules.test.yaml").read_text())["tests"][0]
    assert {case["alertname"] for case in tested["alert_rule_test"]} == {rule["alert"] for rule in rules}
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    for expression in asked:
        promql_parser.parse(expression)
    named = {name for expression in asked for name in re.findall(r"character3d_\w+", expression)}
    assert named - list_metrics() == set()
    assert set(re.findall(r'queue="([\w.]+)"', "".join(asked))) <= {QUEUE, DEAD_QUEUE}


def test_panels_of_the_board_do_not_overlap():
    places = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & cells and max(x for x, _ in cells) < 24, panel["title"]
        places |= cells


def test_shell_scripts_are_of_the_shell():
    for script in DEPLOY.glob("*.sh"):
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", script], check=True)


@pytest.mark.nightly
def test_a_front_door_needs_no_more_than_its_image_has(tmp_path):
    """Its files are those that its .dockerignore lets through."""
    lines = (DEPLOY / "front-door.Dockerfile.dockerignore").read_text().splitlines()
    for name in (line.removeprefix("!") for line in lines if line.startswith("!")):
        source, target = REPOSITORY / name, tmp_path / "pack" / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(source, target)
    command = [sys.executable, tmp_path / "pack" / "cluster", "front-door"]
    without = {name: value for name, value in os.environ.items() if not name.startswith("CHARACTER3D_")}
    done = subprocess.run(command, capture_output=True, text=True, env=without)
    assert "CHARACTER3D_BROKER is not set" in done.stderr, done.stderr


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_prometheus_takes_rules_and_scrape_configuration():
    for what, name in (("rules", "rules.yaml"), ("config", "compose.yaml")):
        subprocess.run(["promtool", "check", what, DEPLOY / "prometheus" / name], check=True)
    subprocess.run(["promtool", "test", "rules", DEPLOY / "prometheus" / "rules.test.yaml"], check=True)


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
def test_docker_compose_takes_the_composition(tmp_path):
    settings = (DEPLOY / ".env.example").read_text()
    (tmp_path / "env").write_text(re.sub(r"=$", "=x", settings, flags=re.MULTILINE))
    command = ["docker-compose", "--file", DEPLOY / "compose.yaml", "--env-file", tmp_path / "env", "config"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(yaml.safe_load(done.stdout)["services"]) >= {"front-door", "worker-1", "worker-2"}
    (tmp_path / "env").write_text("")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "set it in .env" in done.stderr
