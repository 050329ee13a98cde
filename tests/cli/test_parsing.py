"""Valid and invalid words of the command line."""

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.parsing import Faults, collect

VALUED = {"--filters", "--epochs", "--home"}
SWITCHES = {"--json"}


def split(line: str, takes_words: bool = False) -> tuple[list[str], list[str]]:
    return collect(line.split(), VALUED, SWITCHES, takes_words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["--"]),
        ("--filters 16,32", ["--filters=16,32", "--"]),
        ("--filters=16 --json", ["--filters=16", "--json", "--"]),
        ("--epochs -1", ["--epochs=-1", "--"]),
        ("--home=a=b", ["--home=a=b", "--"]),
        ("--home=", ["--home=", "--"]),
    ],
)
def test_right_words_pass(line: str, words: list[str]) -> None:
    assert split(line) == (words, [])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--fitlers 16", "unknown flag --fitlers; did you mean '--filters'?"),
        ("--zzzzzz=1", "unknown flag --zzzzzz; --help lists the flags"),
        ("-x", "unknown flag -x; --help lists the flags"),
        ("--filters", "--filters: needs a value"),
        ("--filters --json", "--filters: needs a value"),
        ("--json=yes", "--json: takes no value, received 'yes'"),
        ("--epochs 1 --epochs 2", "--epochs: is given twice; give it once (lists take commas)"),
        ("16", "unexpected argument '16'"),
        ("-- --json", "unexpected argument '--json'"),
    ],
)
def test_a_wrong_word_is_one_fault(line: str, fault: str) -> None:
    assert split(line)[1] == [fault]


def test_all_faults_are_collected_and_the_rest_is_kept() -> None:
    words, faults = split("--fitlers 16 --epochs 3 stray --json=1 --home")
    assert words == ["--epochs=3", "--json", "--"]
    assert len(faults) == 4


def test_words_are_kept_where_they_are_wanted() -> None:
    assert split("a.png --json b.png -- --c.png", takes_words=True) == (
        ["--json", "--", "a.png", "b.png", "--c.png"],
        [],
    )
    # After an unknown flag, 'a.png' is rather an image than its value.
    assert split("--jsno a.png", takes_words=True)[0] == ["--", "a.png"]


def test_faults_are_gathered_from_calls() -> None:
    def refuse() -> int:
        raise InvalidInput(["a", "b"])

    faults = Faults(["first"])
    assert faults.of(refuse) is None
    assert faults.of(int, "3") == 3
    with pytest.raises(InvalidInput) as error:
        faults.stop()
    assert error.value.faults == ("first", "a", "b")


def test_without_faults_nothing_stops() -> None:
    Faults().stop()
