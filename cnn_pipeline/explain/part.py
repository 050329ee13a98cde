"""What one stop of a tour leaves: files and sentences."""

from __future__ import annotations

from dataclasses import dataclass

PICTURES = ("journey", "kernels", "patches", "ablation", "looks")
"""The parts of a run's tour, in the order in which one would show them."""


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures and tables on one question, and what is seen in them."""

    files: dict[str, bytes]
    """Contents by file name; the first is the part's main picture."""
    sentences: tuple[str, ...]
    """Numbers of this very run or image, in words."""
