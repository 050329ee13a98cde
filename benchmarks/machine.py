"""What a measurement ran on: it stands beside every figure."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cnn_pipeline.base.machine import available_cores, processor_name
from cnn_pipeline.base.versions import git_state, versions
from cnn_pipeline.network.device import processor_flags

# The instruction sets that decide how fast a convolution is.
_INSTRUCTION_SETS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2")


def this_machine() -> dict[str, Any]:
    """Processor, memory, software and checkout of this process, and the time; for `json.dump`."""
    flags = processor_flags()
    git = git_state()
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
        "memory_gib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": dict(versions()),
        "commit": git.commit,
        "dirty": git.dirty,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def in_words(machine: Mapping[str, Any]) -> str:
    """One line: '2 cores of Intel Xeon (avx512f, avx2), 23.5 GiB, Linux ...'."""
    sets = f" ({', '.join(machine['instruction_sets'])})" if machine["instruction_sets"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['processor']}{sets}, {machine['memory_gib']:.1f} "
        f"GiB, {machine['system']}; {packages}; commit {machine['commit'][:12] or 'unknown'}"
        f"{' with local changes' if machine['dirty'] else ''}; {machine['date']}"
    )
