"""A model is found by the words that a user types."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.find_model import find_subject
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.trial import Variant


@pytest.mark.slow
def test_runs_are_found_by_id_name_and_variant(tiny: tuple[Home, Outcome], tmp_path: Path) -> None:
    home, outcome = tiny
    by_name = {result.name: result for result in outcome.results}
    wanted = by_name["f2-none-d16-do25-s0"]
    for word in (wanted.run_id, "f2-none-d16-do25-s0", "f2-none-d16-do25"):
        found = find_subject(word, home, tmp_path)
        assert (found.run_id, found.name) == (wanted.run_id, wanted.name)
        assert found.variant == Variant(filters=2, dense_units=16, pooling="none", dropout=0.25)
        assert len(found.dataset.validation) == 500
        assert found.notes == ()
    best = find_subject(None, home, tmp_path)
    assert best.name.removesuffix("-s0") == outcome.comparison.verdict.chosen
    with pytest.raises(UserError, match=r"f2-max-d16.*received 'f2-mx-d16'; did you mean"):
        find_subject("f2-mx-d16", home, tmp_path)
    with pytest.raises(UserError, match="has no model"):
        find_subject("diverging-s0", home, tmp_path)
    with pytest.raises(UserError, match="no run"):
        find_subject("0" * 32, home, tmp_path)
