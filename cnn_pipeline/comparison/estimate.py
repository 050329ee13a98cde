"""An estimated sum of recipes' accuracies, and how far it may be off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cnn_pipeline.comparison.quantiles import t_quantile, tukey_quantile
from cnn_pipeline.comparison.statistics import Interval

Quantile = Callable[[float], float]
"""From degrees of freedom, infinity included, to a multiple of the standard error."""


@dataclass(frozen=True)
class NoClaim:
    """Nothing can be said about other seeds, and why."""

    reason: str
    estimate: float | None = None
    """What was measured, if anything was."""


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of recipes' accuracies, as a share, with its standard error."""

    estimate: float
    seed_error: float
    """Standard error over new seeds."""
    image_error: float
    """Standard error over new images; 0 where only accuracies are known. Seeds do not lower it."""
    freedom: float
    """Degrees of freedom of `seed_error`."""
    seeds: tuple[int, ...]
    """Seeds that every recipe of the sum has; the estimate is a mean over them."""
    images: bool
    """Whether new images are allowed for; false where only accuracies are known."""
    own_spread: bool
    """Whether the spread over seeds is that of these recipes alone, not of the whole table."""
    image_freedom: float = math.inf
    """Degrees of freedom of `image_error`: few where rare classes count as much as others."""

    @property
    def error(self) -> float:
        """Standard error over new seeds and, where `images` is true, new images."""
        return math.hypot(self.seed_error, self.image_error)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds of the sum, on these images."""
        return self.seed_error * math.sqrt(len(self.seeds))

    @property
    def interval(self) -> Interval:
        """95 % for this sum alone."""
        return self.within(t_quantile)

    def simultaneous(self, num_variants: int) -> Interval:
        """95 % for all pairs of `num_variants` recipes together (Tukey-Kramer)."""
        return self.within(lambda freedom: tukey_quantile(num_variants, freedom))

    def within(self, quantile: Quantile) -> Interval:
        """The interval of a family whose quantiles are given."""
        half = self.half_width(quantile)
        return Interval(self.estimate - half, self.estimate + half)

    def half_width(self, quantile: Quantile) -> float:
        """Half the width of `within`.

        Cochran and Cox (1957, Experimental Designs, section 4.14): of a sum of two variances with
        different degrees of freedom, each one's quantile counts by its share.
        """
        seed, image = self.seed_error**2, self.image_error**2
        if not seed:
            return quantile(self.image_freedom) * self.image_error
        both = seed * quantile(self.freedom) + image * quantile(self.image_freedom)
        return both / (seed + image) * self.error
