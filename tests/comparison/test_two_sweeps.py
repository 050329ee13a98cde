"""Two sweeps with chosen numbers: what changed, and what is claimed about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cnn_pipeline.comparison import two_sweeps_text as text
from cnn_pipeline.comparison.evidence import family
from cnn_pipeline.comparison.recipes import Answers
from cnn_pipeline.comparison.statistics import paired_interval
from cnn_pipeline.comparison.two_sweeps import StoredSweep, compare_two
from cnn_pipeline.comparison.two_sweeps_types import TwoSweeps
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training
from tests.comparison.scripted import (
    NUM_TEST,
    Outcome,
    comparison,
    failure,
    near,
    outcome,
    recipes,
    right,
)

DATA = {"set": "fashion-mnist", "digest": "d1", "test images": "1,000"}
CODE = {"code digest": "c1", "keras": "3.15.1"}
GRID = Sweep(name="grid", axes=Axes(filters=(16, 64), pooling=("max", "none")), seeds=(0,))


def sweep(
    *outcomes: Outcome,
    settings: Sweep = GRID,
    data: dict[str, str] | None = None,
    code: dict[str, str] | None = None,
    sweep_id: str = "grid-1",
) -> StoredSweep:
    return StoredSweep(
        comparison=comparison(*outcomes, sweep_id=sweep_id, name=settings.name),
        settings=settings,
        results=[result for result, _ in outcomes],
        correct={result.name: correct for result, correct in outcomes if correct is not None},
        data=DATA if data is None else data,
        code=CODE if code is None else code,
    )


def trained(label: str, *wrong: range, seed: int = 0, run: str = "", **more: Any) -> Outcome:
    """A trial with answers of its own; `run` names the run that trained it."""
    correct = right(*wrong)
    result, _ = outcome(label, seed=seed, validation=float(correct.mean()), correct=correct, **more)
    return dataclasses.replace(result, run_id=run or f"{label}-{seed}-{wrong}"), correct


def changes(found: TwoSweeps, group: str) -> dict[str, tuple[str, str]]:
    return {one.what: (one.first, one.second) for one in getattr(found, group)}


def test_what_changed_is_listed_and_nothing_else() -> None:
    longer = Sweep(
        name="grid",
        axes=Axes(filters=(64,), pooling=("max", "average")),
        training=Training(epochs=9),
        seeds=(0, 1),
    )
    found = compare_two(
        sweep(trained("f64-max", range(9)), trained("f16-none", range(8))),
        sweep(
            trained("f64-max", range(5)),
            trained("f64-average", range(7)),
            failure("f16-none"),
            settings=longer,
            data={**DATA, "train limit": "600"},
            code={**CODE, "keras": "3.15.2"},
        ),
    )
    assert changes(found, "settings") == {
        "filters": ("16, 64", "64"),
        "pooling": ("max, none", "max, average"),
        "epochs": ("5", "9"),
        "seeds": ("0", "0, 1"),
    }
    assert changes(found, "data") == {"train limit": ("", "600")}
    assert changes(found, "code") == {"keras": ("3.15.1", "3.15.2")}
    assert (found.only_first, found.only_second) == (("f16-none",), ("f64-average",))
    assert found.same_test_images
    said = text.to_text(found)
    assert "- epochs: 5 -> 9\n" in said and "- data train limit: none -> 600\n" in said
    assert "- finished only in A: f16-none\n" in said


def test_a_variant_of_both_is_compared_on_the_same_images() -> None:
    """B gets 30 images right that A gets wrong, and 10 the other way."""
    found = compare_two(
        sweep(trained("f64-max", range(100))),
        sweep(trained("f64-max", range(30, 100), range(200, 210))),
    )
    (one,) = found.variants
    assert one.difference is not None and not one.same_models
    assert (one.first, one.second) == (0.9, 0.92)
    assert one.difference.estimate == pytest.approx(0.02)
    assert (one.difference.right_alone, one.difference.wrong_alone) == (30, 10)
    expected = np.zeros(NUM_TEST)
    expected[:30], expected[200:210] = 1, -1
    assert one.difference.interval == paired_interval(expected)
    said = " ".join(text.to_text(found).split())
    assert "f64-max 90.0 % 92.0 % +2.00 (+0.73 to +3.26)" in said, said


def test_the_number_of_variants_is_corrected_for() -> None:
    a = sweep(*(trained(f"f{n}-max", range(100)) for n in (4, 8, 16)))
    b = sweep(*(trained(f"f{n}-max", range(30, 100), range(200, 210)) for n in (4, 8, 16)))
    for one in compare_two(a, b).variants:
        assert one.difference is not None
        gains = np.repeat([1.0, -1.0, 0.0], [30, 10, NUM_TEST - 40])
        assert near(one.difference.interval, paired_interval(gains, 1 - 0.05 / 3))


def test_several_seeds_are_paired_by_seed() -> None:
    a = [trained("f64-max", range(n), seed=seed) for seed, n in enumerate((100, 150, 200))]
    b = [trained("f64-max", range(n), seed=seed) for seed, n in enumerate((90, 138, 192))]
    found = compare_two(sweep(*a), sweep(*b))
    (one,) = found.variants
    assert one.difference is not None
    assert one.difference.basis == "recipes"
    # One recipe in two sweeps: two rows of one table.
    table = np.array([[0.91, 0.862, 0.808], [0.9, 0.85, 0.8]])
    rows = [*b, *a]
    answers = Answers(
        ("B", "A"), (0, 1, 2), table, {divmod(i, 3): one for i, (_, one) in enumerate(rows)}
    )
    assert near(one.difference.interval, answers.pair(0, 1).within(family(1)))
    assert one.difference.significant  # the spread of the seeds, 5 points, is in both
    gains = np.zeros(NUM_TEST)
    for before, after in ((100, 90), (150, 138), (200, 192)):
        gains[after:before] += 1 / 3
    assert near(one.networks, paired_interval(gains))
    assert "Only these trained networks, over test images: f64-max +1.00" in text.to_text(found)


def test_it_is_said_where_the_difference_is_over_fewer_seeds() -> None:
    """A has more wrong answers with seed 1, which B does not have."""
    a = [trained("f64-max", range(n), seed=seed) for seed, n in enumerate((100, 300))]
    found = compare_two(sweep(*a), sweep(trained("f64-max", range(110))))
    said = " ".join(text.to_text(found).split())
    assert "f64-max 80.0 % 89.0 % -1.00" in said
    assert "B - A is over the seeds in both" in said
    alike = compare_two(sweep(*a), sweep(*a[::-1]))
    assert "the seeds in both" not in " ".join(text.to_text(alike).split())


def test_a_sweep_with_more_seeds_reuses_the_networks_it_shares() -> None:
    first = [trained("f64-max", range(100 + seed), seed=seed, run=f"r{seed}") for seed in range(3)]
    second = [
        *((dataclasses.replace(r, run_id=f"c{r.seed}", reused_from=r.run_id), c) for r, c in first),
        trained("f64-max", range(90), seed=3, run="r3"),
    ]
    (one,) = compare_two(sweep(*first), sweep(*second)).variants
    assert one.same_models and one.difference is None


def test_a_reused_variant_adds_nothing_to_the_change_of_a_pair() -> None:
    same = trained("f64-max", range(100), run="r1")
    found = compare_two(
        sweep(same, trained("f16-max", range(200))),
        sweep(same, trained("f16-max", range(100))),
    )
    (pair,) = found.pairs
    assert (pair.variant, pair.change) == ("f16-max", pytest.approx(0.1))
    gains = np.repeat([1.0, 0.0], [100, NUM_TEST - 100])
    assert near(pair.change_interval, paired_interval(gains))


def test_reused_networks_have_no_difference_to_test() -> None:
    first = trained("f64-max", range(100), run="r1")
    copied = dataclasses.replace(first[0], run_id="r2", reused_from="r1"), first[1]
    (one,) = (found := compare_two(sweep(first), sweep(copied))).variants
    assert one.same_models and one.difference is None
    assert "same trained networks" in text.to_text(found)


def test_other_data_are_not_compared_by_accuracy() -> None:
    outcomes = [trained("f64-max", range(50)), trained("f16-max", range(150))]
    others = [trained("f64-max", range(90)), trained("f16-max", range(20))]
    found = compare_two(sweep(*outcomes), sweep(*others, data={**DATA, "digest": "ab" * 32}))
    assert not found.same_test_images
    assert [(one.difference, one.networks) for one in found.variants] == [(None, None)] * 2
    (pair,) = found.pairs
    assert (pair.first_says, pair.second_says) == ("less accurate", "more accurate")
    assert pair.change is None and pair.change_interval is None
    said = text.to_text(found)
    assert "the accuracies of A and B are not comparable" in said
    assert "- data digest: d1 -> abababababab\n" in said and "f16-max against f64-max: A" in said


def test_data_of_unknown_digest_are_not_called_the_same() -> None:
    one = sweep(trained("f64-max", range(5)), data={})
    assert not compare_two(one, one).same_test_images


def test_a_pair_that_changes_has_the_interval_of_its_change() -> None:
    """f64 leads by 10 points in A, and by 2 in B."""
    a = sweep(trained("f64-max", range(100)), trained("f16-max", range(200)))
    b = sweep(trained("f64-max", range(100)), trained("f16-max", range(98), range(300, 304)))
    found = compare_two(a, b)
    (pair,) = found.pairs
    assert found.num_pairs == 1
    assert (pair.variant, pair.against) == ("f64-max", "f16-max")
    assert (pair.first_says, pair.second_says) == ("more accurate", "not significant")
    assert pair.change == pytest.approx(0.002 - 0.1)
    assert pair.change_interval is not None
    assert -0.12 < pair.change_interval.low < -0.098 < pair.change_interval.high < -0.07
    said = text.to_text(found)
    assert "0 of 1 pairs have the same result" in said
    assert "A significantly more accurate" in said and "changed by -9.80 points" in said


def test_the_change_of_a_pair_over_seeds_is_paired_by_seed() -> None:
    def one(gap: tuple[int, int, int]) -> StoredSweep:
        return sweep(
            *(
                trained(label, range(100 + extra), seed=seed)
                for seed in range(3)
                for label, extra in (("f64-max", 0), ("f16-max", gap[seed]))
            )
        )

    found = compare_two(one((60, 62, 64)), one((0, 1, -1)))
    (pair,) = found.pairs
    assert (pair.variant, pair.against) == ("f16-max", "f64-max")
    # Of the seeds alone, the half is t(0.975; 2) * 0.0026 / sqrt(3) = 0.0066; images add to it.
    assert pair.change == pytest.approx(0.062)
    assert pair.change_interval is not None
    assert 0.0066 < pair.change_interval.high - 0.062 < 0.02


def test_a_pair_that_stays_is_counted_only() -> None:
    a = sweep(trained("f64-max", range(100)), trained("f16-max", range(200)))
    b = sweep(trained("f64-max", range(90)), trained("f16-max", range(190)))
    found = compare_two(a, b)
    assert (found.num_pairs, found.pairs) == (1, ())
    assert "1 of 1 pairs have the same result" in text.to_text(found)
    assert found.answers == () and "both say the same" in text.to_text(found)


def test_an_answer_that_changes_is_given_twice() -> None:
    a = sweep(trained("f64-max", range(100)), trained("f16-max", range(200)))
    b = sweep(trained("f64-max", range(100)), trained("f64-none", range(20)))
    filters, pooling = compare_two(a, b).answers
    assert filters.first.startswith("Filters: 64 filters led on validation; on test, among")
    assert filters.second == "Filters: only one level, so there is nothing to compare."
    assert pooling.second.startswith("Pooling: no pooling led on validation; on test, among")


def test_an_effect_that_depends_on_another_setting_in_one_sweep_is_another_answer() -> None:
    """On average 64 filters and no pooling are better in both."""
    added = sweep(*recipes(f64_max=20, f16_none=20, f64_none=40))
    depends = sweep(*recipes(f64_max=20, f16_none=20, f64_none=80))
    assert compare_two(added, added).answers == ()
    filters, pooling = compare_two(added, depends).answers
    assert "depends on pooling" in filters.second and "depends" not in filters.first
    assert "depends on filters" in pooling.second


def test_one_name_for_two_networks_is_noticed() -> None:
    a = sweep(trained("mine", range(10), settings={"batch_norm": False}))
    b = sweep(trained("mine", range(10), settings={"batch_norm": True}))
    found = compare_two(a, b)
    assert "mine names two networks: batch norm false -> true." in text.to_text(found)


def test_nothing_in_common_is_said() -> None:
    found = compare_two(sweep(trained("f64-max", range(9))), sweep(trained("f16-max", range(9))))
    assert found.variants == () and found.num_pairs == 0
    assert "No variant finished in both sweeps" in text.to_text(found)
    assert "Pairs of variants" not in text.to_markdown(found)


def test_every_format_has_the_whole() -> None:
    labels = ("f64-max", "f16-max", "a-label-as-long-as-they-come-of-48-characters-xx")
    a = sweep(*(trained(label, range(50 * n)) for n, label in enumerate(labels)))
    b = sweep(*(trained(label, range(400 - 50 * n)) for n, label in enumerate(labels)))
    found = compare_two(a, b)
    said = text.to_text(found)
    assert max(map(len, said.splitlines())) <= 80
    markdown = text.to_markdown(found)
    assert all(label in said and label in markdown for label in labels)
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(tables) == 5 and {line.count("|") for line in tables} == {5}
