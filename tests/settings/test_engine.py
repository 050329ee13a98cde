"""Where trainers run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.retraining.settings import RetrainSettings, load_settings
from cnn_pipeline.settings.engine import LOCAL, Engine, split_engine
from cnn_pipeline.settings.files import load_engine, load_sweep_file


def test_trainers_run_on_this_machine_unless_asked() -> None:
    assert Engine() == LOCAL
    assert LOCAL.engine == "local"


@pytest.mark.parametrize("address", ["auto", "10.0.0.7:6379", "head.example:6379"])
def test_an_address_is_of_a_head(address: str) -> None:
    assert Engine(engine="ray", ray_address=address).ray_address == address


@pytest.mark.parametrize("address", ["", "head", "ray://head:10001", "head:x", "a b:1", "head:1\n"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="must be auto or HOST:PORT"):
        Engine(engine="ray", ray_address=address)


def test_settings_of_a_cluster_need_one() -> None:
    with pytest.raises(ValidationError, match="must be ray for gpu_share, retries, received local"):
        Engine(engine="local", retries=1, gpu_share=0.5)


@pytest.mark.parametrize("place", ["/shared/ck", "s3://bucket", "s3://bucket/a/b/", "gs://b-1/x"])
def test_checkpoints_go_to_a_folder_or_a_bucket(place: str) -> None:
    assert Engine(engine="ray", checkpoints=place).checkpoints == place.rstrip("/")


@pytest.mark.parametrize(
    "place", ["", "shared", "s3:/b", "s3://b", "http://host/x", "s3://KEY:s3cr3t@bucket/x",
              "s3://bucket/x?secret_key=s3cr3t", "s3://bucket/\n"],
)  # fmt: skip
def test_another_place_is_refused_and_its_key_not_shown(place: str) -> None:
    _, _, faults = split_engine({"engine": "ray", "checkpoints": place})
    (fault,) = faults
    assert fault.message.startswith("must be the absolute path of a folder, s3://BUCKET/PREFIX or")
    assert "s3cr3t" not in str(fault)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two-seeds.toml"
    path.write_text('engine = "ray"\nretries = 5\n', encoding="utf-8")
    return path


def test_a_file_says_where_trainers_run_and_nothing_else_changes(file: Path) -> None:
    assert load_engine(file) == Engine(engine="ray", retries=5)
    assert load_settings(file) == RetrainSettings()
    with_seeds = file.read_text(encoding="utf-8") + "seeds = [0, 1]\n"
    file.write_text(with_seeds, encoding="utf-8")
    sweep = load_sweep_file(file)
    file.write_text("seeds = [0, 1]\n", encoding="utf-8")
    assert sweep == load_sweep_file(file)
    assert load_engine(file) == LOCAL


def test_what_is_wrong_in_a_file_is_told_with_its_other_faults(file: Path) -> None:
    file.write_text('ray_address = "x"\ngpu_share = 2\nepochs = 0\n', encoding="utf-8")
    for load in (load_sweep_file, load_settings):
        with pytest.raises(InvalidInput) as caught:
            load(file)
        address, share, *rest = caught.value.faults
        assert address == f"{file}: ray_address: must be auto or HOST:PORT, received 'x'"
        assert share == f"{file}: gpu_share: must be at most 1, received 2"
        assert any("epochs" in fault for fault in rest)
    file.write_text("retries = 5\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="engine: must be ray for retries, received local"):
        load_sweep_file(file)
    assert load_engine(file) == LOCAL
