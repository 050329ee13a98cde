"""What `make audit` makes of pip-audit's report."""

from __future__ import annotations

import json

import pytest

from scripts import audit
from scripts.audit import Audit, NoAnswerError, pins_of, read_report, rounds, verdict

HASH = f"--hash=sha256:{'0' * 64}"
PINS = [("absl-py", "2.5.1"), ("requests", "2.19.0")]
# Recorded: pip-audit 2.10.1 where the source answers for one package and does not know the other.
SKIPPED = {
    "name": "absl-py",
    "skip_reason": "Dependency not found on PyPI and could not be audited: absl-py (2.5.1)",
}
KNOWN = {
    "name": "requests",
    "version": "2.19.0",
    "vulns": [
        {
            "id": "PYSEC-2018-28",
            "fix_versions": ["2.20.0"],
            "aliases": ["CVE-2018-18074", "GHSA-x84v-xcm2-53pg"],
            "description": "The Requests package through 2.19.1 sends an HTTP header ...",
        }
    ],
}
FINE = {"name": "absl_py", "version": "2.5.1", "vulns": []}


def report(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def judged(*dependencies: dict[str, object]) -> tuple[int, list[str]]:
    found = Audit()
    read_report(report(*dependencies), found)
    return verdict(found, PINS)


def test_an_advisory_fails_and_says_what_fixes_it() -> None:
    status, lines = judged(FINE, KNOWN)
    assert status == 1
    assert lines[0] == (
        "requests 2.19.0: PYSEC-2018-28, CVE-2018-18074, GHSA-x84v-xcm2-53pg; fixed in 2.20.0"
    )
    assert "make lock" in lines[-1]


def test_a_skipped_package_fails_beside_one_that_was_asked_for() -> None:
    status, lines = judged(SKIPPED, KNOWN)
    assert status == 2
    assert lines[0].startswith("requests 2.19.0: PYSEC-2018-28")
    assert lines[1] == f"absl-py 2.5.1: {SKIPPED['skip_reason']}"
    assert lines[2].startswith("1 of 2 packages could not be asked for, so nothing is known")


def test_a_package_that_the_report_leaves_out_fails() -> None:
    status, lines = judged(FINE)
    assert status == 2 and lines[0] == "requests 2.19.0: not in the report"


def test_another_version_than_the_locked_one_is_not_enough() -> None:
    assert judged(FINE, {**KNOWN, "version": "2.18.0"})[0] == 2


def test_all_asked_for_and_nothing_known_passes() -> None:
    status, lines = judged(FINE, {**KNOWN, "vulns": []})
    assert (status, lines) == (0, ["no known advisory for the 2 packages of requirements.lock"])


def test_a_long_list_is_cut() -> None:
    _, lines = verdict(Audit(), [(f"p{n}", "1") for n in range(30)])
    assert lines[10] == "... and 20 more" and len(lines) == 12


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"dependencies": [{"name": "a"}]}'])
def test_a_report_of_another_form_is_no_answer(text: str) -> None:
    with pytest.raises(NoAnswerError, match="not understood"):
        read_report(text, Audit())


def test_a_source_that_cannot_be_reached_never_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(requirements: list[str], service: str) -> str:
        raise NoAnswerError("gave no report: Failed to resolve host")

    monkeypatch.setattr(audit, "ask", no_network)
    assert audit.main(["--service", "osv"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("osv: gave no report: Failed to resolve host\n")
    assert "could not be asked for" in said and "--service" in said


def test_every_version_of_every_environment_is_asked_for() -> None:
    lock = f"numpy==1 ; python_version < '3.12' \\\n {HASH}\nnumpy==2 {HASH}\nNum.Py2[x]==3 {HASH}"
    pins = pins_of(lock)
    assert pins == [("numpy", "1"), ("numpy", "2"), ("num-py2", "3")]
    assert rounds(pins) == [["numpy==1", "num-py2==3"], ["numpy==2"]]
