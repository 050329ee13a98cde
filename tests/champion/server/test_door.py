"""Who is let in: hosts' names and tokens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.server.app import make_app
from cnn_pipeline.champion.server.secret import TOKEN_VARIABLE, token_from
from tests.champion.server.standin import SHAPE, Standing

TOKEN = "a-token/of+all=kinds~0123456789!"
BODY: dict[str, Any] = {"inputs": np.zeros((1, *SHAPE), int).tolist()}
PATHS = ["/ping", "/health", "/version", "/invocations", "/nothing", "/%2e%2e/"]


@pytest.fixture(scope="module")
def guarded() -> TestClient:
    standing: Any = Standing()
    return TestClient(make_app(standing, TOKEN), "http://127.0.0.1")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN]
)
def test_without_the_token_nothing_is_answered(
    guarded: TestClient, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"authorization": given}
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        reply = guarded.request(method, path, headers=headers, json=BODY)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer ")
        assert reply.json()["error_code"] == "UNAUTHENTICATED"
        assert TOKEN not in reply.text and "x-model-version" not in reply.headers


def test_with_the_token_all_is_as_ever() -> None:
    standing: Any = Standing()
    with TestClient(make_app(standing, TOKEN), "http://localhost") as client:
        for scheme in ("Bearer", "bearer"):
            headers = {"authorization": f"{scheme} {TOKEN}"}
            assert client.get("/ping", headers=headers).status_code == 200
            reply = client.post("/invocations", headers=headers, json=BODY)
            assert reply.json()["labels"] == ["bag"]
        assert client.get("/").status_code == 200  # where a person enters it
        assert TOKEN not in client.get("/").text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "é",
     "localhost.", "[::1]", "127.0.0.2", "127.0.0.1:x:[", "0x7f000001"],
)  # fmt: skip
def test_a_host_must_be_this_machine(guarded: TestClient, host: str) -> None:
    reply = guarded.get("/", headers={"host": host.encode("latin-1")})
    assert reply.status_code == 400
    assert "Host header must be 127.0.0.1 or localhost" in reply.json()["message"]


def test_another_websites_page_gets_no_answer(guarded: TestClient) -> None:
    """A browser asks first, and may send only kinds of content that need no question."""
    origin = {"origin": "https://evil.example", "authorization": f"Bearer {TOKEN}"}
    asked = origin | {"access-control-request-method": "POST"}
    replies = [guarded.options("/invocations", headers=asked), guarded.get("/ping", headers=origin)]
    assert replies[0].status_code == 405
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = origin | {"content-type": kind}
        replies.append(guarded.post("/invocations", headers=headers, content="{}"))
        assert replies[-1].status_code == 415
    for reply in replies:
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_token_is_the_line_of_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "token with späces"
    file.write_text(TOKEN + "\n")
    file.chmod(0o640)
    assert token_from(str(file), {TOKEN_VARIABLE: "another"}) == TOKEN
    assert token_from(None, {TOKEN_VARIABLE: TOKEN}) == TOKEN
    assert token_from(None, {}) is None


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ("", "0 characters"),
        ("short-and-secret"[:15], "15 characters"),
        ("x" * 1025, "1025 characters"),
        ("two-lines-of-it\ntwo-lines-of-it", "other characters"),
        ("a secret with a space", "other characters"),
        ("geheim-und-länger-als-das", "other characters"),
    ],
)
def test_what_is_no_token_is_refused_unseen(tmp_path: Path, content: str, received: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(0o600)
    for call in (
        lambda: token_from(str(file), {}),
        lambda: token_from(None, {TOKEN_VARIABLE: content}),
    ):
        with pytest.raises(
            InvalidInput, match=f"one line of 16 to 1024 .* received {received}"
        ) as e:
            call()
        assert not content or content[:8] not in str(e.value)


def test_a_file_that_is_no_secret_or_no_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match=r"must not be readable by every user.*chmod 600"):
        token_from(str(file), {})
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "binary").write_bytes(b"\xff" * 32)
    (tmp_path / "binary").chmod(0o600)
    for name, reason in (
        ("pipe", "must be a file"), (".", "Is a directory"), ("gone", "No such file"),
        ("binary", "not text"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=reason):
            token_from(str(tmp_path / name), {})
