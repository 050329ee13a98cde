"""Names that become part of a path: whatever somebody gives, they stay in their folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import file_name
from cnn_pipeline.champion.registry.version import registered_name
from cnn_pipeline.data.formats.local import data_set_name
from cnn_pipeline.network.metrics import metric_keys
from cnn_pipeline.settings.files import load_sweep_file
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Training, Trial, Variant

HOSTILE = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\0b",
    "a\n",
    "~root",
    "-rf",
    "$(id)",
    "%2e%2e%2fx",
    "．．／x",
    "\u202egnp.exe",
    "x" * 300,
]
SAFE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@pytest.mark.parametrize("name", HOSTILE)
def test_sweeps_and_variants_refuse_it(name: str, tmp_path: Path) -> None:
    for build in (
        lambda: Sweep(name=name),
        lambda: Sweep(baseline=name),
        lambda: Entry(label=name),
        lambda: Trial(variant=Variant(), training=Training(), seed=0, label=name),
    ):
        with pytest.raises(ValidationError):
            build()
    file = tmp_path / "sweep.toml"
    file.write_text(f'name = "{name.encode("unicode_escape").decode()}"', "utf-8")
    with pytest.raises(InvalidInput):
        load_sweep_file(file)


@pytest.mark.parametrize("name", HOSTILE)
def test_data_sets_classes_and_runs_make_it_safe(name: str) -> None:
    assert SAFE.fullmatch(slug := data_set_name(Path("/data") / name.lstrip("/")))
    assert registered_name(slug) == f"{slug}-cnn"
    assert all(SAFE.fullmatch(key) for key in metric_keys([name, "plain"]) if len(key) < 64)
    assert all(re.fullmatch("[a-z0-9_]+", key) for key in metric_keys([name, "plain"]))
    path = Path("folder", file_name(name))
    assert path.parent == Path("folder") and path.name not in ("", ".", "..")
    assert path.name.isprintable() and not path.name.startswith(("-", "."))
