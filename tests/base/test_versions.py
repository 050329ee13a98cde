"""Where numbers come from: the code, the versions, the commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cnn_pipeline.base import versions


def test_versions_name_what_shapes_a_result() -> None:
    found = versions.versions()
    assert set(found) == {
        "python", "cnn-pipeline", "tensorflow", "keras", "numpy", "numba", "scipy", "mlflow",
        "prefect", "pandas",
    }  # fmt: skip
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "not installed" not in found.values()


def test_serving_needs_pinned_packages_and_nothing_of_ours() -> None:
    found = versions.versions()
    assert versions.serving_requirements() == [
        f"{package}=={found[package]}" for package in ("tensorflow", "keras", "numpy")
    ]


def test_the_code_digest_is_that_of_the_sources() -> None:
    """The same in another process, and it is read, not remembered, from there."""
    code = "from cnn_pipeline.base import versions; print(versions.code_digest())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == versions.code_digest()
    assert len(other) == 64


def copied_package(folder: Path) -> Path:
    package = folder / "cnn_pipeline"
    (package / "base").mkdir(parents=True)
    original = Path(versions.__file__).parent.parent
    for name in ("__init__.py", "base/__init__.py", "base/machine.py", "base/versions.py"):
        (package / name).write_bytes((original / name).read_bytes())
    return package


def asked(folder: Path, expression: str) -> str:
    """An expression about `versions`, evaluated where `folder` holds the package."""
    code = f"from cnn_pipeline.base import versions; print({expression})"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_code_digest_sees_each_byte_and_each_name(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    digest = "versions.code_digest()"
    first = asked(tmp_path, digest)
    (package / "base" / "machine.py").write_bytes(
        (package / "base" / "machine.py").read_bytes() + b"#\n"
    )
    second = asked(tmp_path, digest)
    (package / "extra.py").write_text("")
    third = asked(tmp_path, digest)
    (package / "extra.py").rename(package / "other.py")
    assert len({first, second, third, asked(tmp_path, digest)}) == 4


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    state = "(versions.git_state().commit, versions.git_state().dirty)"
    assert asked(tmp_path, state) == "('', False)"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    # The interpreter may have left bytecode beside the sources; it is no change of them.
    (tmp_path / ".git" / "info" / "exclude").write_text("__pycache__\n")
    assert asked(tmp_path, state) == f"('{head}', False)"
    (package / "base" / "machine.py").write_bytes(
        (package / "base" / "machine.py").read_bytes() + b"#\n"
    )
    assert asked(tmp_path, state) == f"('{head}', True)"
