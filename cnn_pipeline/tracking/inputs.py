"""The data of a run as MLflow shows them: one input per split, named by its role."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnn_pipeline.data.rows import blocks
from cnn_pipeline.tracking import names

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from cnn_pipeline.data.dataset import Dataset

# MLflow's column for a digest holds 36 characters.
_DIGEST_CHARACTERS = 32
ROLES = ("train", "validation", "test")


@dataclass(frozen=True)
class Input:
    """One split, without its images."""

    role: str
    name: str
    """'fashion-mnist-train'. MLflow merges inputs of equal name and digest, so each role has its
    own name."""
    digest: str
    """SHA-256 (hex, cut) of the data set's digest, the split's labels and its images in order."""
    source: str
    num_images: int
    image_shape: tuple[int, int, int]
    num_classes: int


def describe_inputs(dataset: Dataset, roles: Sequence[str] = ROLES) -> tuple[Input, ...]:
    """The splits of a data set, for `Tracker.log_inputs`."""
    return tuple(
        Input(
            role=role,
            name=f"{dataset.name}-{role}",
            digest=_digest(dataset, role),
            source=dataset.source,
            num_images=len(getattr(dataset, role).labels),
            image_shape=dataset.image_shape,
            num_classes=len(dataset.class_names),
        )
        for role in roles
    )


def mlflow_inputs(inputs: Sequence[Input]) -> list[DatasetInput]:
    """The same as MLflow's entities."""
    from mlflow.entities import Dataset as MlflowDataset
    from mlflow.entities import DatasetInput, InputTag

    from cnn_pipeline.tracking.undocumented import dataset_schema

    return [
        DatasetInput(
            MlflowDataset(
                name=one.name,
                digest=one.digest,
                source_type="code",
                source=json.dumps({"tags": {"source": one.source}}),
                schema=dataset_schema(one.image_shape),
                profile=json.dumps(
                    {
                        "num_images": one.num_images,
                        "image_shape": list(one.image_shape),
                        "num_classes": one.num_classes,
                    }
                ),
            ),
            tags=[InputTag(names.DATA_ROLE, one.role)],
        )
        for one in inputs
    ]


def _digest(dataset: Dataset, role: str) -> str:
    split = getattr(dataset, role)
    digest = hashlib.sha256(dataset.digest.encode())
    digest.update(split.labels.tobytes())
    for block in blocks(split.images):
        digest.update(block.data)
    return digest.hexdigest()[:_DIGEST_CHARACTERS]
