"""One key for all inputs of a trial: trials with equal keys have equal results.

The key says what may be reused. A stored run is verified before it is reused
(`tracking.verify.faults`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.base.machine import backend_name, has_gpu, processor_name
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Trial
from cnn_pipeline.trainers.environment import numeric_environment

# Folders and files that can change a number of a trial; the command line, figures, reports and
# tracking cannot. When in doubt, list it: training again costs minutes, a missed change hides a
# wrong number.
TRIAL_CODE = (
    "base/machine.py",
    "base/startup.py",
    "data",
    "network",
    "settings/trial.py",
    "trainers",
)


def libraries() -> str:
    """'keras 3.15.1, numpy 2.4.0, tensorflow 2.21.0'."""
    versions = provenance.versions()
    return ", ".join(
        f"{name} {versions.get(name, 'not installed')}"
        for name in sorted(provenance.numeric_packages())
    )


def content_key(trial: Trial, data: DataSettings, data_digest: str, threads: int) -> str:
    """SHA-256 (hex) of everything that the numbers of `trial` depend on.

    Names, hypotheses and the path of the data are not part of it. The processor is: it decides
    how kernels round, what 'auto' precision means, and the times that are compared.
    """
    content = {
        "data": data_digest,
        "split": data.model_dump(mode="json", exclude={"source", "name"}),
        "variant": trial.variant.model_dump(mode="json"),
        "training": trial.training.model_dump(mode="json") | {"threads": threads},
        "seed": trial.seed,
        "code": provenance.code_digest(TRIAL_CODE),
        "libraries": libraries(),
        "environment": numeric_environment(os.environ),
        "machine": {"backend": backend_name(), "processor": processor_name(), "gpu": has_gpu()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sweep_key(sweep: Sweep, keys: Mapping[str, str], purpose: str) -> str:
    """SHA-256 (hex) of all that a sweep is: settings, names, code, and its trials' content keys.

    `purpose` sets sweeps apart that are equal otherwise.

    A sweep that was stopped goes on only as exactly this sweep.
    """
    content = {
        "settings": sweep.model_dump(mode="json"),
        "code": provenance.code_digest(),
        "trials": dict(keys),
        "purpose": purpose,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
