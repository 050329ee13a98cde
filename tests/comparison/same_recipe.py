"""Answers of 24 networks of one recipe, which differ in nothing but their seeds.

    .venv/bin/python -m tests.comparison.same_recipe

trains them (f8-max, 2 epochs of 20,000 images; 5 minutes on two quiet cores) and writes
`same_recipe.npz`: which of the 10,000 test images each gets right, 8 answers a byte.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.recipes import Answers

STORED = Path(__file__).with_suffix(".npz")
NUM = 24
IMAGES = 10_000


def stored_answers() -> NDArray[np.bool_]:
    """Bool `[24, 10000]`: which test images each network gets right."""
    with np.load(STORED, allow_pickle=False) as stored:
        return np.unpackbits(stored["answers"], axis=1, count=IMAGES).astype(np.bool_)


def grouped(right: NDArray[np.bool_], num_variants: int, num_seeds: int) -> Answers:
    """The first networks as if they were `num_variants` recipes with `num_seeds` seeds each."""
    table = right[: num_variants * num_seeds].reshape(num_variants, num_seeds, -1)
    return Answers(
        labels=tuple(f"r{row}" for row in range(num_variants)),
        seeds=tuple(range(num_seeds)),
        accuracies=table.mean(axis=2, dtype=np.float64),
        correct={(r, s): table[r, s] for r in range(num_variants) for s in range(num_seeds)},
    )


def main() -> None:
    """Train the networks and store their answers."""
    import mlflow
    import pandas as pd

    with tempfile.TemporaryDirectory() as home:
        words = ["run", "--filters", "8", "--pooling", "max", "--epochs", "2"]
        words += ["--train-limit", "20000", "--seeds", ",".join(map(str, range(NUM)))]
        program = Path(sys.executable).with_name("cnn-pipeline")
        subprocess.run([program, *words, "--home", home], check=True)
        mlflow.set_tracking_uri(f"sqlite:///{home}/mlruns/mlflow.db")
        runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
        by_name = {run.info.run_name: run.info.artifact_uri for run in runs}
        answers = []
        for seed in range(NUM):
            uri = f"{by_name[f'f8-max-s{seed}']}/predictions.parquet"
            table = pd.read_parquet(mlflow.artifacts.download_artifacts(uri))
            shares = table[[name for name in table if name.startswith("p")]].to_numpy()
            answers.append(shares.argmax(axis=1) == table["label"].to_numpy())
    np.savez_compressed(STORED, answers=np.packbits(np.array(answers), axis=1))


if __name__ == "__main__":
    main()
