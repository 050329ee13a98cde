"""Names that metrics are logged under."""

from __future__ import annotations

from cnn_pipeline.network.metrics import metric_keys


def test_names_become_keys() -> None:
    assert metric_keys(["T-shirt/top", "Ankle boot"]) == ["t_shirt_top", "ankle_boot"]


def test_names_that_collide_or_vanish_get_their_number() -> None:
    assert metric_keys(["T shirt", "T-shirt", "靴", "鞄"]) == [
        "t_shirt_0",
        "t_shirt_1",
        "class_2",
        "class_3",
    ]
