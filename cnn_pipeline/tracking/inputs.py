"""The data set of a run as MLflow shows it: one input for each split, named by its role."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag

from cnn_pipeline.tracking import names

if TYPE_CHECKING:
    from cnn_pipeline.tracking import names
from cnn_pipeline.data.dataset import Dataset

# MLflow's column for a data set's digest holds 36 characters.
_DIGEST_CHARACTERS = 32
ROLES = ("train", "validation", "test")


@dataclass(frozen=True)
class Input:
    """One split, without its images."""

    role: str
    name: str
    """'fashion-mnist-train': MLflow joins inputs of equal name and digest, so roles need their
    own."""
    digest: str
    """Content of the split, hex: the images in their order, and the labels."""
    source: str
    num_images: int
    image_shape: tuple[int, int, int]
    num_classes: int


def describe_inputs(dataset: Dataset, roles: Sequence[str] = ROLES) -> tuple[Input, ...]:
    """Splits of a data set, as `Tracker.log_inputs` takes them."""
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
    """The same in MLflow's classes."""
    return [
        DatasetInput(
            MlflowDataset(
                name=one.name,
                digest=one.digest,
                source_type="code",
                source=json.dumps({"tags": {"source": one.source}}),
                schema=json.dumps({"mlflow_tensorspec": _tensors(one)}),
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


def _tensors(one: Input) -> dict[str, str]:
    def tensor(dtype: str, *shape: int) -> str:
        return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}])

    return {"features": tensor("uint8", -1, *one.image_shape), "targets": tensor("int64", -1)}


def _digest(dataset: Dataset, role: str) -> str:
    split = getattr(dataset, role)
    digest = hashlib.sha256(dataset.digest.encode())
    digest.update(split.labels.tobytes())
    digest.update(split.images.tobytes())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]
