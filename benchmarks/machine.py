"""What a measurement ran on: it stands beside every figure."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from cnn_pipeline.base.machine import available_cores, processor_name
from cnn_pipeline.base.versions import git_state, versions
from cnn_pipeline.network.device import processor_flags

# The instruction sets that decide how fast a convolution is.
INSTRUCTION_SETS = ("amx_bf16", "amx_tile", "avx512_bf16", "avx512f", "avx2")


@dataclass(frozen=True)
class Machine:
    """Processor, memory and software of one measurement."""

    processor: str
    """Name of the processor."""
    cores: int
    """Cores that this process may use."""
    instruction_sets: tuple[str, ...]
    """Those of `INSTRUCTION_SETS` that the processor has; empty where Linux does not say."""
    memory_gib: float
    """Memory of the machine, in GiB."""
    system: str
    """Operating system, its release and the processor's architecture."""
    versions: dict[str, str]
    """Python and the packages that shape a result."""
    commit: str
    """Commit of the checkout; empty where there is none."""
    dirty: bool
    """Whether files differ from that commit."""
    date: str
    """When it was measured, in UTC: ISO 8601."""

    def as_json(self) -> dict[str, Any]:
        """All fields, for `json.dump`."""
        return asdict(self)

    def in_words(self) -> str:
        """One line: '2 cores of Intel Xeon (avx512f, avx2), 23.5 GiB, Linux ...'."""
        sets = f" ({', '.join(self.instruction_sets)})" if self.instruction_sets else ""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        changed = " with local changes" if self.dirty else ""
        return (
            f"{cores} of {self.processor}{sets}, {self.memory_gib:.1f} GiB, {self.system}; "
            f"{packages}; commit {self.commit[:12] or 'unknown'}{changed}; {self.date}"
        )


def this_machine() -> Machine:
    """The machine, the software and the checkout of this process, now."""
    flags = processor_flags()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    git = git_state()
    return Machine(
        processor=processor_name(),
        cores=available_cores(),
        instruction_sets=tuple(name for name in INSTRUCTION_SETS if name in flags),
        memory_gib=memory / 2**30,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=dict(versions()),
        commit=git.commit,
        dirty=git.dirty,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
