"""Many faults of one kind become one line."""

from __future__ import annotations

from cnn_pipeline.data.formats.by_kind import by_kind


def test_up_to_three_faults_of_a_kind_stay_as_they_are() -> None:
    faults = [f"/data/{name}.png: must be grey, received blue" for name in "abc"]

    assert by_kind([*faults, "name must be another"]) == [*faults, "name must be another"]


def test_more_become_one_with_what_was_received() -> None:
    faults = [
        f"/data/{folder}/{n}.png: must be 5x6, received {n}x1" for n in (1, 2) for folder in "ab"
    ]

    assert by_kind(["/data: there must be something", *faults]) == [
        "/data: there must be something",
        "4 places below /data: must be 5x6; for example a/1.png (received 1x1), "
        "b/1.png (received 1x1) and a/2.png (received 2x1)",
    ]


def test_places_that_are_no_paths() -> None:
    faults = [f"group {n}: must be in one split" for n in range(1200)]

    assert by_kind(faults) == [
        "must be in one split; 1,200 such faults, for example group 0, group 1 and group 2"
    ]
