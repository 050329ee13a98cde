"""`cnn-pipeline explain` draws, writes and says what is seen."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import click
import pytest
from PIL import Image

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.experiment.outcome import Outcome


def is_png(content: bytes) -> bool:
    return Image.open(BytesIO(content)).format == "PNG"


def test_the_command_prints_the_arithmetic_and_writes_its_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "ärithmetic"
    assert status_of(["explain", "--convolution", "--pooling", "--output", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines()[:30])) <= 80
    assert "ReLU: max(0," in out
    assert {path.name for path in folder.iterdir()} == {
        "convolution.png", "pooling.png", "filters.png",
    }  # fmt: skip
    assert str(folder / "filters.png") in out
    assert f"wrote {folder / 'filters.png'}" in err


def test_a_png_file_takes_the_first_picture_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    file = tmp_path / "pooling.png"
    assert status_of(["explain", "--pooling", "--output", str(file), "--open"]) == 0
    assert is_png(file.read_bytes())
    assert list(tmp_path.iterdir()) == [file]
    assert opened == [str(file)]


def test_without_output_it_goes_below_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["explain", "--convolution"]) == 0
    assert {path.name for path in Path("explained/arithmetic").iterdir()} == {
        "convolution.png", "filters.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            ["a", "b", "--image", "x.png", "--only", "journeys,kernels", "--output", "no/x.png"],
            [
                "unexpected argument 'b': one run at a time",
                "there is no file 'x.png'",
                "--only: must be journey, kernels, patches, ablation or looks, received 'journeys'",
                "folder 'no' does not exist",
            ],
        ),
        (["f64", "--pooling"], ["unexpected argument 'f64': no run is needed"]),
        (["--pooling", "--only", "looks"], ["--only: needs a run"]),
        (["--output", __file__], ["--output: must be a folder or a .png file"]),
        (["--image", "1,2,3,4,5,6,7"], ["at most 6 images"]),
    ],
)
def test_all_faults_are_told_before_anything_is_drawn(
    words: list[str],
    messages: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["explain", *words]) == 2
    err = capsys.readouterr().err
    assert all(message in err for message in messages), err
    assert list(tmp_path.iterdir()) == []


def test_without_any_sweep_it_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["explain", "--home", str(home.root)]) == 2
    assert "there is no sweep in" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_explains_a_run(
    tiny: tuple[Home, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, outcome = tiny
    folder = tmp_path / "pictures"
    words = ["explain", "f2-max-d16", "--home", str(home.root), "--output", str(folder)]
    assert status_of(words) == 0
    out = capsys.readouterr().out
    assert "f2-max-d16-s0: 28x28x1 > 26x26x2 > 13x13x2 > 11x11x2 > 5x5x2 > 50 > 16 > 10." in out
    assert max(len(line) for line in out.splitlines() if str(folder) not in line) <= 80
    assert len(list(folder.iterdir())) == 7
    # The whole network's accuracy is the one that the run has recorded.
    run = next(result for result in outcome.results if result.name == "f2-max-d16-s0")
    assert f"goes from {percent(run.metrics['val_accuracy_final'], 2)} to" in " ".join(out.split())
