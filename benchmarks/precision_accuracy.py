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

from benchmarks.accuracy_pairs import written

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
    heading = f"64 filters, max-pooling, {given.epochs} epochs, 55,000 images"
    seeds = [int(seed) for seed in given.seeds.split(",")]
    titles = {name: name for name in accuracy}
    print(written(RESULTS / "precision-accuracy", heading, seeds, accuracy, titles))
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
