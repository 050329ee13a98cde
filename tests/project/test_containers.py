"""The files for containers: versions of the locks, required secrets, loopback ports, no root."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from scripts.check_lock import ROOT, read_lock

FOLDER = ROOT / "containers"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
RAY = yaml.safe_load((FOLDER / "kubernetes" / "raycluster.yaml").read_text(encoding="utf-8"))
TEMPLATE = json.loads(
    (FOLDER / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGE = f"cnn-pipeline:{PROJECT['version']}"
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HOME = "/var/lib/cnn-pipeline"
# How the name of a variable ends whose value is secret.
SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET|KEY|KEY_ID|AUTH_STRING)$")
# Compose refuses to start without such a variable. With `:-` it would have a default.
REQUIRED = re.compile(r"(team:)?\$\{[A-Z0-9_]+:\?see docs/how-to/containers\.md\}")


def pinned(package: str, lock: str = "requirements.lock") -> str:
    """The version that a lock pins."""
    pins, _ = read_lock((ROOT / lock).read_text(encoding="utf-8"))
    [version] = {str(pin.specifier).removeprefix("==") for pin in pins if pin.name == package}
    return version


def pods() -> list[tuple[str, dict[str, Any]]]:
    """The spec of each kind of pod."""
    ray = [RAY["spec"]["headGroupSpec"], *RAY["spec"]["workerGroupSpecs"]]
    job = TEMPLATE["job_configuration"]["job_manifest"]["spec"]
    return [
        *((group.get("groupName", "head"), group["template"]["spec"]) for group in ray),
        ("job", job["template"]["spec"]),
    ]


def test_the_image_is_built_from_the_locks_and_their_hashes() -> None:
    installs = re.findall(r"\bpip install (.*?)(?=&&|\n\S|\n\n)", DOCKERFILE, re.S)
    own = [words for words in installs if "--editable" in words]
    assert len(installs) == 4 and len(own) == 1
    assert "--offline" in own[0] and "--no-deps" in own[0]
    for words in installs:
        assert words in own or "--require-hashes --no-deps --only-binary :all:" in words
    assert "-r requirements.lock" in DOCKERFILE
    assert "--constraint requirements-dev.lock -r /tmp/extras.txt" in DOCKERFILE


def test_the_python_of_the_image_is_the_first_that_make_looks_for() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    first = re.search(r'"\$\(PYTHON\)",python([\d.]+) ', makefile)
    assert first is not None
    assert re.findall(r"^ARG PYTHON=(.+)$", DOCKERFILE, re.M) == [first[1]]
    bases = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.M)
    stages = {name for _, name in bases}
    assert {base for base, _ in bases} - stages == {"python:${PYTHON}-slim-trixie"}


def test_what_is_copied_into_the_image_reaches_the_build_and_nothing_else() -> None:
    copied = {
        word
        for words in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
        for word in words.split()
    }
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_versions_are_those_of_the_locks() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    # One image has MLflow's and Prefect's servers, so their versions are those of the lock.
    assert {images[name] for name in ("mlflow", "prefect", "deploy", "worker")} == {IMAGE}
    assert images["serve"] == f"{IMAGE}-serve"
    foreign = set(images.values()) - {IMAGE, f"{IMAGE}-serve"}
    assert all(re.fullmatch(r"[\w/-]+:\d[\w.-]*", image) for image in foreign), foreign
    inline = SERVICES["objects"]["build"]["dockerfile_inline"]
    [base] = re.findall(r"^FROM \S+:v(\d+\.\d+\.\d+)$", inline, re.M)
    assert images["objects"].endswith(f":{base}")
    ray = pinned("ray", "requirements-dev.lock")
    assert RAY["spec"]["rayVersion"] == ray
    assert {pod["containers"][0]["image"] for name, pod in pods() if name != "job"} == {
        f"{IMAGE}-ray"
    }
    assert TEMPLATE["variables"]["properties"]["image"]["default"] == IMAGE
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    [worker] = re.findall(r"prefecthq/prefect:([\d.]+)-python([\d.]+)-kubernetes", page)
    assert worker[0] == pinned("prefect")
    assert f"ARG PYTHON={worker[1]}\n" in DOCKERFILE
    assert set(re.findall(r"cnn-pipeline:([\d.]+\d)", page + DOCKERFILE)) == {PROJECT["version"]}


def test_extras_that_are_built_in_are_in_the_development_lock() -> None:
    asked = {
        extra
        for service in SERVICES.values()
        for extra in service.get("build", {}).get("args", {}).get("EXTRAS", "").split()
    }
    assert asked == {"postgres", "s3"}  # the server's database and its artifacts
    for extra in (*asked, "ray"):
        for need in PROJECT["optional-dependencies"][extra]:
            assert pinned(re.split(r"[>=<\[]", need)[0], "requirements-dev.lock")


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_is_required_and_has_no_default(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    for variable, value in environment.items():
        if SECRET.search(variable):
            assert REQUIRED.fullmatch(value), variable
        else:
            assert "$" not in value, variable
            assert not re.search(r"//[^/]*:[^/]*@", value), f"{variable} has a password in it"


def test_the_secrets_are_those_that_the_guide_makes_and_git_ignores_them() -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", text))
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    made = re.search(r"^for name in ([^;]+); do$", page, re.M)
    assert made is not None
    assert set(made[1].replace("\\", "").split()) == asked
    assert len(asked) == 5
    assert "containers/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", SERVICES)
def test_a_published_port_is_on_the_loopback_address(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    # A container with the machine's network publishes whatever it listens on: only `serve`, which
    # binds the loopback address.
    if "network_mode" in service:
        assert service["build"]["target"] == "serve"
        assert "command" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_of_compose_has_no_root_and_a_read_only_root(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] in ("10001:10001", "postgres")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    writable = [mount.split(":")[0] for mount in service["tmpfs"]]
    assert "/tmp" in writable
    if service["image"].startswith(IMAGE):
        writable += [volume.split(":")[1] for volume in service.get("volumes", [])]
        assert HOME in writable


@pytest.mark.parametrize(("name", "pod"), pods())
def test_a_pod_has_no_root_and_a_read_only_root(name: str, pod: dict[str, Any]) -> None:
    [uid] = re.findall(r"useradd --uid (\d+)", DOCKERFILE)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {
        int(uid)
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {HOME, "/tmp"}
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


def test_the_image_does_not_run_as_root() -> None:
    last_root = max(DOCKERFILE.rfind("RUN useradd"), DOCKERFILE.rfind("COPY --from=build"))
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert users == ["10001:10001"]
    assert DOCKERFILE.index("\nUSER ") > last_root
    assert f"HOME={HOME}" in DOCKERFILE and f"--home-dir {HOME}" in DOCKERFILE


def test_a_service_is_waited_for_until_it_is_healthy() -> None:
    waited = {
        (other, rule["condition"])
        for service in SERVICES.values()
        for other, rule in service.get("depends_on", {}).items()
    }
    assert waited == {
        *((name, "service_healthy") for name in ("postgres", "objects", "prefect", "mlflow")),
        ("deploy", "service_completed_successfully"),
    }
    for name, condition in waited:
        assert ("healthcheck" in SERVICES[name]) is (condition == "service_healthy")


def test_the_template_of_jobs_uses_each_of_its_variables_and_no_other() -> None:
    used = re.findall(r"\{\{ (\w+) \}\}", json.dumps(TEMPLATE["job_configuration"]))
    assert set(used) == set(TEMPLATE["variables"]["properties"])
