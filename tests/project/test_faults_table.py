"""The table of docs/reliability.md."""

import re
from pathlib import Path

import pytest

from scripts.faults_table import BEGIN, END, HEAD, PAGE, table_rows, with_table


def record(test: str, moment: str, **others: object) -> dict[str, object]:
    row = {
        "test": f"tests/{test}", "fault": "kill -9", "moment": moment, "promises": "I7",
        "seconds": None, "result": "passed", "day": "2026-11-29",
    }  # fmt: skip
    return {**row, **others}


def test_moments_of_a_test_are_one_row() -> None:
    rows = table_rows(
        [
            record("test_a.py::test_1[1]", "step 1", seconds=1.5, promises="I7 I1"),
            record("test_a.py::test_1[2]", "step 2", seconds=2.5),
            record("test_b.py::test_2", "reads", result="failed"),
            record("test_b.py::test_2", "reads"),  # run again, and this counts
            record("test_b.py::test_2", "writes", result="failed"),
        ]
    )
    assert rows == [
        "| kill -9 | step 1; step 2 | 2.5 s | I1 I7 | passed | 2026-11-29 | `test_a.py::test_1` |",
        "| kill -9 | reads; writes | - | I7 | 1 of 2 failed | 2026-11-29 | `test_b.py::test_2` |",
    ]


def test_a_part_of_the_tests_replaces_only_its_rows() -> None:
    page = f"before\n{BEGIN}{END}after\n"
    first = table_rows([record("test_a.py::test_1", "old"), record("test_b.py::test_2", "old")])
    page = with_table(page, first, keep=False)
    assert page == f"before\n{BEGIN}{HEAD}{first[0]}\n{first[1]}\n{END}after\n"
    again = table_rows([record("test_b.py::test_2", "new")])
    assert with_table(page, again, keep=True) == page.replace(first[1], again[0])
    assert with_table(page, again, keep=False) == page.replace(first[0] + "\n", "").replace(
        first[1], again[0]
    )


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="needs the lines"):
        with_table("no table", [], keep=False)


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN + HEAD in page
    assert END in page


def test_each_row_is_of_a_test_that_exists() -> None:
    """`make faults ARGS=...` keeps the rows of other tests, also of one that was renamed."""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = re.findall(r"\| `(\S+\.py)::(\w+)` \|", table)
    assert len(rows) == len(table.splitlines()) - 2
    tests = Path(__file__).parent.parent
    gone = [name for path, name in rows if f"def {name}(" not in (tests / path).read_text()]
    assert gone == []
