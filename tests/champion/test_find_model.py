"""A model is found by the words that a user types."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.find_model import find_subject, model_to_serve
from cnn_pipeline.champion.register import open_registry
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Variant
from tests.champion.test_watching import crown
from tests.experiment.scripted_store import whole


def test_where_only_own_data_have_a_champion_it_is_served(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = open_registry(home, create=True)
    assert model_to_serve(registry) == ("fashion-mnist-cnn", "")
    whole(home, Sweep(seeds=(0,)), "pets-20260102-000000-bbbb", {"f64-max-s0": 20})
    assert model_to_serve(registry) == ("pets-cnn", "")  # which is refused by this name

    crown(home, "0" * 64, "pets")

    name, why = model_to_serve(registry)
    assert name == "pets-cnn"
    assert why == (
        "serving pets-cnn, the model of the last sweep's data: there is no champion of "
        "fashion-mnist-cnn"
    )
    crown(home, "0" * 64, "fashion-mnist")
    assert model_to_serve(registry) == ("fashion-mnist-cnn", "")


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
