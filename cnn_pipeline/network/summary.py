"""Describe a network as text: Keras' summary, the layer table, the note of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.quantities import duration, percent
from cnn_pipeline.network.plan import Plan
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.trial import Trial

if TYPE_CHECKING:
    import keras

# In MLflow's font box-drawing characters do not join; some terminals and mail programs lack them.
_ASCII = str.maketrans(
    {
        **dict.fromkeys("─━═", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("┌┏┐┓└┗┘┛├┣┤┫┬┳┴┻┼╋┡┢┩┪╇╈╞╡╪", "+"),
        "…": "~",
    }
)


def summary_text(model: keras.Model, plan: Plan) -> str:
    """`model.summary()` in ASCII, with the architecture, the shapes and the cost of an image."""
    lines: list[str] = []
    model.summary(line_length=78, print_fn=lambda text, **_: lines.append(text))
    return (
        f"{plan.architecture}\n{plan.journey}\n\n"
        + "\n".join(lines).translate(_ASCII).rstrip()
        + f"\n\n Multiply-accumulates per image: {plan.macs:,}\n"
    )


def layers_json(plan: Plan) -> str:
    """All layers as JSON: name, output shape, parameters, MACs and receptive field."""
    rows = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "output_shape": list(layer.output_shape),
            "params": layer.params,
            "macs": layer.macs,
            "receptive_field": layer.receptive_field,
        }
        for layer in plan.layers
    ]
    record = {
        "architecture": plan.architecture,
        "image_shape": list(plan.image_shape),
        metric_names.NUM_PARAMS: plan.num_params,
        metric_names.MACS: plan.macs,
        "layers": rows,
    }
    return json.dumps(record, indent=2) + "\n"


def trial_note(
    trial: Trial,
    plan: Plan,
    metrics: Mapping[str, float],
    command: str,
    model_page: str,
    images: str,
) -> str:
    """Description of the run in MLflow's UI, as Markdown: what came out, then what was asked.

    `command` trains the trial again; `model_page` is the address of the logged model's page;
    `images` are their shape and how pictures become like them.
    """
    hypothesis = trial.hypothesis or (
        f"What do {spell(trial.variant.filters)} filters with "
        f"{'no' if trial.variant.pooling == 'none' else trial.variant.pooling} pooling reach?"
    )
    validation, test, seconds, latency = (
        metrics[name]
        for name in (
            metric_names.VAL_ACCURACY_FINAL,
            metric_names.TEST_ACCURACY,
            metric_names.TRAIN_SECONDS,
            metric_names.LATENCY_MS,
        )
    )
    return (
        f"**{percent(test, 2)} on test, {percent(validation, 2)} on validation**, "
        f"{plan.num_params:,} parameters, {plan.macs:,} multiply-accumulates an image, "
        f"{duration(seconds)} of training, {latency:.2f} ms an image at batch 1\n\n"
        f"{hypothesis}\n\n"
        f"`{plan.architecture}`\n\n"
        f"Images: {images}.\n\n"
        f"[The logged model]({model_page}). The variant is chosen by validation accuracy.\n\n"
        f"Train it again:\n\n```\n{command}\n```\n"
    )
