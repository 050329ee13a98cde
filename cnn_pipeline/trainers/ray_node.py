"""What a node of a Ray cluster is and sees, and in which points it differs from the driver.

Runs on the nodes, so it imports little.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base import versions
from cnn_pipeline.base.machine import backend_name, has_gpu, processor_name
from cnn_pipeline.base.reachable import short, silence
from cnn_pipeline.data.catalog import CATALOGS
from cnn_pipeline.network.place import Place
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.trainers.environment import GPU_CHOICE, numeric_environment


@dataclass(frozen=True)
class Question:
    """What a node is asked before anything is trained."""

    data: str = ""
    """Path of the images, which it must see; empty for data that it fetches itself."""
    seen: str = ""
    """A file that it sees if it shares the folder of checkpoints; empty: it need not."""
    place: str = ""
    """Address of a `Place` that it must share, which has the object `seen`; empty: it need not."""
    store: str = ""
    """Address of MLflow's server, which it must reach; empty: it need not."""


@dataclass(frozen=True)
class Answer:
    """What a node is and sees."""

    facts: dict[str, str]
    """All that can change a number, as `facts` says."""
    sees_data: bool
    blind: str
    """Why it does not share the checkpoints; empty if it does."""
    silence: str
    """Why MLflow's server does not answer it; empty if it does."""


def node_name(host: str, node_id: str) -> str:
    """'worker-3 (Ray node 3c62bfeaaf51)': what `ray status` calls it, too."""
    return f"{host} (Ray node {node_id[:12]})"


def absolute(data: DataSettings) -> DataSettings:
    """The same images for a process with another current folder."""
    if data.source in CATALOGS:
        return data
    return data.model_copy(update={"source": str(Path(data.source).absolute())})


def answer(question: Question) -> Answer:
    """Answer for the machine that this runs on."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides GPUs from who asks for none
    return Answer(
        facts=facts(),
        sees_data=not question.data or Path(question.data).exists(),
        blind=_blind(question.place, question.seen),
        silence=silence(question.store, "/health") if question.store else "",
    )


def _blind(place: str, seen: str) -> str:
    if not place:
        return "" if not seen or Path(seen).exists() else f"no {Path(seen).parent}"
    try:
        shared = Place(place)
        shared.get(seen)
        own = f"{seen}-{secrets.token_hex(4)}"
        shared.put(own, b"")
        shared.remove(own)
    except OSError as error:
        return short(error)
    return ""


def facts() -> dict[str, str]:
    """Code, libraries, environment and machine, by name: all that is in a content key."""
    environment = {
        name: value
        for name, value in numeric_environment(os.environ).items()
        if name not in GPU_CHOICE  # Ray sets it for each trainer
    }
    return {
        "the code of cnn-pipeline": versions.code_digest()[:12],
        **versions.versions(),
        **{f"the variable {name}": value for name, value in environment.items()},
        "Keras' backend": backend_name(),
        "the processor": processor_name(),
        "a GPU": "yes" if has_gpu() else "no",
    }


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """'keras 3.15.1 instead of 3.15.2' for each fact of a node that differs from the driver's."""
    names = dict.fromkeys([*here, *there])
    return [
        f"{name} {there.get(name, 'not set')} instead of {here.get(name, 'not set')}"
        for name in names
        if here.get(name) != there.get(name)
    ]
