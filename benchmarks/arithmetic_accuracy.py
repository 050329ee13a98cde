"""Do compiled convolutions cost accuracy? The tutorial's network, the whole data set, five seeds.

    .venv/bin/python -m benchmarks.arithmetic_accuracy        # 6 to 15 minutes on two cores

Seed by seed the same images in the same order and the same first weights, in float32, with two
threads: once by direct sums (TensorFlow's own convolutions), once as the pipeline trains. Scores
are those of the user's network, as it is logged. Writes
`benchmarks/results/arithmetic-accuracy.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.accuracy_pairs import written
from cnn_pipeline.trainers.launching import trainer_environment

RESULTS = Path(__file__).parent / "results"
THREADS = 2


def main() -> int:
    """Train both ways and write the table of pairs."""
    parser = argparse.ArgumentParser(prog="arithmetic_accuracy", description=__doc__)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--child", choices=["direct", "compiled"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    if given.child:
        print(json.dumps(_train(given.child, seeds, given.epochs)))
        return 0
    accuracy = {way: _child(way, given.seeds, given.epochs) for way in ("direct", "compiled")}
    heading = f"64 filters, max-pooling, float32, {given.epochs} epochs"
    titles = {"direct": "direct sums", "compiled": "compiled"}
    print(written(RESULTS / "arithmetic-accuracy", heading, seeds, accuracy, titles))
    return 0


def _child(way: str, seeds: str, epochs: int) -> list[float]:
    words = [sys.executable, "-m", "benchmarks.arithmetic_accuracy", "--child", way]
    words += ["--seeds", seeds, "--epochs", str(epochs)]
    environment = {**trainer_environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _train(way: str, seeds: list[int], epochs: int) -> list[float]:
    """Test accuracies by seed, as shares."""
    from cnn_pipeline.base.home import cache_dir
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.network.build import build_model, build_twin
    from cnn_pipeline.network.compiled import operations
    from cnn_pipeline.network.device import configure
    from cnn_pipeline.network.evaluation import evaluate
    from cnn_pipeline.network.train import train
    from cnn_pipeline.settings.trial import DataSettings, Training, Variant

    device = configure(THREADS)
    if way == "direct":
        operations.on_processor = lambda: False
    dataset = load_dataset(DataSettings(), cache_dir(os.environ))
    variant, training = Variant(), Training(epochs=epochs)
    found = []
    for seed in seeds:
        model = build_model(variant, dataset.image_shape, len(dataset.class_names), seed=seed)
        twin = build_twin(model, variant, precision="float32", seed=seed)
        train(twin, dataset.train, dataset.validation, training, device, seed=seed)
        model.set_weights(twin.get_weights())
        scores = evaluate(model.predict_on_batch, dataset.test, dataset.class_names)
        found.append(scores.accuracy)
    return found


if __name__ == "__main__":
    sys.exit(main())
