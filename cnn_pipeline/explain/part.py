"""The result of one step of a tour: files and sentences."""

from __future__ import annotations

from dataclasses import dataclass

PICTURES = ("journey", "kernels", "patches", "ablation", "looks")
"""The parts of a run's tour, in the order in which they are shown."""


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures and tables that answer one question, and sentences that sum them up."""

    files: dict[str, bytes]
    """Contents by file name; the first is the part's main picture."""
    sentences: tuple[str, ...]
    """Findings about this run or image, with their numbers."""
