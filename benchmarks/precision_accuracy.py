"""Does bfloat16 training cost accuracy? The tutorial's network, the whole data set, five seeds.

    .venv/bin/python -m benchmarks.precision_accuracy        # about 8 minutes

Two sweeps through the whole pipeline, equal but for `--precision`: seed by seed the same images in
the same order and the same first weights. Writes `benchmarks/results/precision-accuracy.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, paired_interval

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run both sweeps and write the table of pairs."""
    parser = argparse.ArgumentParser(prog="precision_accuracy", description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    accuracy = {
        precision: _sweep(precision, given.seeds, given.epochs)
        for precision in ("float32", "bfloat16")
    }
    percent = {name: [100 * value for value in values] for name, values in accuracy.items()}
    difference = paired_interval(percent["bfloat16"], percent["float32"])
    rows = [
        [seed, f"{single:.2f}", f"{half:.2f}", f"{half - single:+.2f}"]
        for seed, single, half in zip(
            given.seeds.split(","), percent["float32"], percent["bfloat16"], strict=True
        )
    ]
    text = (
        f"64 filters, max-pooling, {given.epochs} epochs, 55,000 images. "
        f"{this_machine().in_words()}.\n\n"
        + markdown(["seed", "float32, test %", "bfloat16, test %", "difference, points"], rows)
        + f"\nMean difference {difference.text(unit=' points')}.\n"
    )
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": this_machine().as_json(), "test_accuracy": accuracy}
    (RESULTS / "precision-accuracy.json").write_text(json.dumps(record, indent=1), "utf-8")
    (RESULTS / "precision-accuracy.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _sweep(precision: str, seeds: str, epochs: int) -> list[float]:
    """Test accuracies by seed, as shares."""
    with tempfile.TemporaryDirectory() as home:
        words = [Path(sys.executable).parent / "cnn-pipeline", "run", "--filters", "64"]
        words += ["--pooling", "max", "--seeds", seeds, "--epochs", str(epochs)]
        words += ["--precision", precision, "--home", home, "--json"]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return [one["metrics"]["test_accuracy"] for one in json.loads(done.stdout)["variants"]]


if __name__ == "__main__":
    sys.exit(main())
