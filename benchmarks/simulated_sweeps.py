"""Sweeps drawn by chance, with known truth: for the tests and tables about intervals.

Images differ in difficulty, recipes find partly other images hard, and so do seeds; two networks
agree about as often as real ones do (90 % right: the seeds of one recipe differ on 4 to 5 % of the
test images, recipes on 5 to 8 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cnn_pipeline.comparison.recipes import Answers

POOL = 200_000
_HARD, _RECIPE, _NETWORK, _EASE = 1.0, 0.17, 0.26, 1.35


@dataclass(frozen=True, eq=False)
class World:
    """A population of images and recipes with equal accuracy but for `ahead`."""

    chance: NDArray[np.float32]
    """`[POOL, V]`: how likely a network of each recipe gets an image right."""
    lean: NDArray[np.float32]
    """`[POOL, V]`: by how much that changes when the network is one point better."""
    ahead: NDArray[np.float64]
    """`[V]`: accuracy beyond that of the pool, as a share."""

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """`[V]`: over all seeds and all images."""
        return self.chance.mean(axis=0, dtype=np.float64) + self.ahead

    def sweep(
        self,
        rng: np.random.Generator,
        *,
        num_seeds: int,
        num_images: int,
        spreads: NDArray[np.float64],
        shared: float = 0.5,
    ) -> Answers:
        """New seeds and new images.

        Args:
            rng: the chance.
            num_seeds: seeds of every recipe.
            num_images: test images.
            spreads: `[V]`: standard deviation over seeds of a recipe's true accuracy, as a share.
            shared: correlation over seeds of two recipes.
        """
        num = self.chance.shape[1]
        images = rng.integers(0, len(self.chance), num_images)
        common = rng.normal(size=num_seeds)
        own = rng.normal(size=(num, num_seeds))
        shift = spreads[:, None] * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        shift = (shift + self.ahead[:, None]).astype(np.float32)
        chance, lean = self.chance[images].T, self.lean[images].T
        uniform = rng.random((num, num_seeds, num_images), dtype=np.float32)
        right = uniform < chance[:, None] + shift[:, :, None] * lean[:, None]
        return Answers(
            labels=tuple(f"r{r}" for r in range(num)),
            seeds=tuple(range(num_seeds)),
            accuracies=right.mean(axis=2, dtype=np.float64),
            correct={(r, s): right[r, s] for r in range(num) for s in range(num_seeds)},
        )


def world(num_variants: int, ahead: NDArray[np.float64] | None = None) -> World:
    """The population of images that `num_variants` recipes of 90 % accuracy answer."""
    rng = np.random.default_rng(20260102)
    hard = _HARD * rng.normal(size=(POOL, 1))
    taste = _RECIPE * rng.normal(size=(POOL, num_variants))
    chance = special.ndtr((_EASE - hard - taste) / _NETWORK)
    # Images that are answered by chance gain most; a shift by d points adds exactly d points.
    lean = chance * (1 - chance)
    lean /= lean.mean(axis=0)
    return World(
        chance.astype(np.float32),
        lean.astype(np.float32),
        np.zeros(num_variants) if ahead is None else ahead,
    )
