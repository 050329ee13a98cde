"""Tests of base/redaction.py."""

from __future__ import annotations

import base64
import contextlib
import json
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.links import check_address
from cnn_pipeline.base.redaction import redacted

NASTY = f"s3cr3t{string.punctuation} x{string.punctuation}t3rc3s"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:s3cr3t@host:5000/base", "http://***@host:5000/base"),
        ("https://token@host", "https://***@host"),
        ("postgresql://ann:a@b:c@host/db", "postgresql://***@host/db"),
        ("postgresql+psycopg2://ann:a/b/c@host/db", "postgresql+psycopg2://***@host/db"),
        ("http://ann:a?b=c#d@host", "http://***@host"),
        ("http://ann:/s3cr3t@host", "http://***@host"),
        ("http://:s3cr3t@host", "http://***@host"),
        ("http://ann:two words@host/db", "http://***@host/db"),
        ("http://ann:%2F%40@host", "http://***@host"),
        ("http://***@host", "http://***@host"),
        ("http://host:5000", "http://host:5000"),
        ("http://[::1]:5000/api", "http://[::1]:5000/api"),
        ("http://host:5000/?page=2&keys=3", "http://host:5000/?page=2&keys=3"),
        ("sqlite:////a folder/m@il/mlflow.db", "sqlite:////a folder/m@il/mlflow.db"),
        ("http://host/?x=1&password=s3cr3t&y=2", "http://host/?x=1&password=***&y=2"),
        ("http://host/?access_token=s3cr3t#top", "http://host/?access_token=***#top"),
        ("https://host/?X-Amz-Signature=s3cr3t", "https://host/?X-Amz-Signature=***"),
        ("http://host/?next=http%3A%2F%2Fann%3As3%40host2", "http://host/?next=http%3A%2F%2F***%40host2"),
        ("host=h user=u password='two words' db=d", "host=h user=u password=*** db=d"),
        ("Authorization: Basic YW5uOnMz", "Authorization: Basic ***"),
        ("{'authorization': 'Bearer ey.J.x'}", "{'authorization': 'Bearer ***'}"),
    ],
)  # fmt: skip
def test_no_secret_is_left(uri: str, shown: str) -> None:
    # The last lines make sure that no more than the secret is taken.
    assert redacted(uri, {}) == shown
    assert redacted(f"call to {uri} failed: see 'a b'", {}) == f"call to {shown} failed: see 'a b'"
    assert redacted(f"{uri}\nann@mail {uri}", {}) == f"{shown}\nann@mail {shown}"


def test_what_follows_an_address_with_a_port_is_kept() -> None:
    text = "http://127.0.0.1:5000 must answer, write to ann@host"
    assert redacted(text, {}) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", NASTY),
        ("MLFLOW_TRACKING_TOKEN", NASTY),
        ("PREFECT_API_KEY", NASTY),
        ("PREFECT_API_AUTH_STRING", f"ann:{NASTY}"),
        ("PREFECT_SERVER_API_AUTH_STRING", f"ann:{NASTY}"),
        ("MLFLOW_TRACKING_URI", f"http://ann:{NASTY}@host:5000"),
        ("MLFLOW_TRACKING_URI", f"http://ann:{quote(NASTY, safe='')}@host:5000"),
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://a:{NASTY}@host/db"),
        ("PREFECT_API_URL", f"http://{quote(NASTY, safe='')}@host/api"),
        ("HTTPS_PROXY", f"http://ann:{quote_plus(NASTY)}@proxy:3128"),
        ("AWS_SECRET_ACCESS_KEY", NASTY),
    ],
)
def test_secrets_of_the_environment_are_known_in_every_spelling(name: str, value: str) -> None:
    environ = {name: value, "PATH": "/usr/bin"}
    for spelled in (
        NASTY,
        quote(NASTY),
        quote(NASTY, safe=""),
        quote(NASTY, safe="").lower(),
        quote_plus(NASTY),
        repr(NASTY)[1:-1],
        json.dumps(NASTY)[1:-1],
        base64.b64encode(NASTY.encode()).decode(),
    ):
        shown = redacted(f"tag={spelled}; and 'more'", environ)
        assert "s3cr3t" not in shown.lower() and "t3rc3s" not in shown.lower()
        assert shown == "tag=***; and 'more'"
    assert redacted("nothing of it", environ) == "nothing of it"


def test_the_header_of_a_user_and_password_is_known() -> None:
    for name, value in (
        ("MLFLOW_TRACKING_URI", "http://ann:s3cr3t@host"),
        ("PREFECT_API_AUTH_STRING", "ann:s3cr3t"),
    ):
        header = base64.b64encode(b"ann:s3cr3t").decode()
        assert redacted(f"sent {header}", {name: value}) == "sent ***"


def test_the_parts_of_a_misread_address_are_known() -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://ann:first/second?third@host:5000"}
    said = "HTTPConnectionPool(host='ann', port='first'): url: /second?third@host:5000"
    shown = redacted(said, environ)
    assert not any(part in shown for part in ("first", "second", "third"))


def test_the_current_folder_is_no_password() -> None:
    environ = {"PWD": "/home/ann/clothes", "OLDPWD": "/home/ann", "DB_PWD": "s3cr3t-word"}
    text = "/home/ann/clothes/mlruns must be writable, not s3cr3t-word"
    assert redacted(text, environ) == "/home/ann/clothes/mlruns must be writable, not ***"


def test_short_secrets_and_switches_leave_other_words_alone() -> None:
    environ = {"API_TOKEN": "abc", "DB_PASSWORD": "word", "PYTHONHASHSEED": "random", "KEYS": "see"}
    assert redacted("abc words word random see", environ) == "abc words *** random see"


@given(st.text(min_size=4, max_size=40).filter(lambda s: s.strip() == s))
@example("a/b@c#d?e:f g")
def test_any_secret_is_hidden(secret: str) -> None:
    environ = {"MLFLOW_TRACKING_PASSWORD": secret}
    for text in (
        f"< {secret} >",
        f"< {quote(secret, safe='')} >",
        f"< {json.dumps(secret)[1:-1]} >",
    ):
        assert redacted(text, environ) in ("< *** >", "***")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=30))
@example("12/34")
def test_any_password_in_an_address_is_hidden(password: str) -> None:
    said = redacted(f"call http://ann:{password}@host:5000/api again", {})
    assert said == "call http://***@host:5000/api again"


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("http://ann:s3/cr3t@host", True),
        ("http://ann:s3 cr3t@host", True),
        ("http://ann:s3@cr3t@host", True),
        ("http://ann:s3%2Fcr3t@host/base", False),
        ("http://host:5000/base", False),
        ("http://[::1]:5000", False),
        ("http://host:5000/me@there", False),
        ("http://host/me@there", False),
        ("sqlite:////home/a b/m@il.db", False),
    ],
)
def test_a_password_that_ends_the_address_is_refused(address: str, wrong: bool) -> None:
    expected = (
        pytest.raises(InvalidInput, match=r"VARIABLE: .* percent-encoded.* http://\*\*\*@host")
        if wrong
        else contextlib.nullcontext()
    )
    with expected:
        check_address("VARIABLE", address)


def test_errors_are_made_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t")
    assert str(UserError("no s3cr3t, http://a:b@c")) == "no ***, http://***@c"
    fault = InvalidInput(["x: s3cr3t", "y: http://a:b@c"])
    assert fault.faults == ("x: ***", "y: http://***@c")
    assert str(fault) == "x: ***\ny: http://***@c"
