"""The cache holds complete, verified files or nothing, whatever servers and processes do."""

from __future__ import annotations

import gzip
import json
import logging
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from cnn_pipeline.base.errors import DataError
from cnn_pipeline.base.events import DownloadProgress, listening
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.data.catalog import FASHION_MNIST, CatalogFile
from cnn_pipeline.data.fetching.download import Limits
from cnn_pipeline.data.fetching.fetch import CACHE_SOURCE, fetch
from cnn_pipeline.data.fetching.sources import (
    AptPackage,
    Folder,
    Mirror,
    SourceError,
    default_sources,
)

PROJECT = Path(__file__).parents[2]


def truncated(handler, payload, server):
    body = gzip.compress(payload)
    handler.answer(body[: len(body) // 2], length=len(body))
    handler.close_connection = True


def truncated_without_length(handler, payload, server):
    handler.send_response(200)
    handler.end_headers()
    body = gzip.compress(payload)
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def web_page(handler, payload, server):
    handler.answer(b"<!DOCTYPE html><html>Please log in to this network</html>")


def web_page_as_gzip(handler, payload, server):
    handler.answer(gzip.compress(b"<html>" + b" " * (len(payload) + 9)))


def flipped_in_transit(handler, payload, server):
    body = bytearray(gzip.compress(payload))
    body[len(body) // 2] ^= 1
    handler.answer(bytes(body))


def flipped_before_packing(handler, payload, server):
    flipped = bytearray(payload)
    flipped[-1] ^= 1
    handler.answer(gzip.compress(bytes(flipped)))


def another_set_of_equal_size(handler, payload, server):
    handler.answer(gzip.compress(payload[:16] + bytes(len(payload) - 16)))


def redirect_loop(handler, payload, server):
    handler.answer(b"", status=302, Location=handler.path)


def stalled_before_headers(handler, payload, server):
    server.stopping.wait()
    handler.close_connection = True


def stalled_after_headers(handler, payload, server):
    body = gzip.compress(payload)
    handler.answer(body[: len(body) // 2], length=len(body))
    server.half_sent.set()
    server.stopping.wait()
    handler.close_connection = True


def dripping_body(handler, payload, server):
    handler.answer(b"", length=len(payload))
    while not server.stopping.wait(0.05):
        handler.wfile.write(b"\x1f")


def dripping_headers(handler, payload, server):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not server.stopping.wait(0.05):
        handler.wfile.write(b"x")


def not_found(handler, payload, server):
    handler.answer(b"gone", status=404)


def server_error(handler, payload, server):
    handler.answer(b"sorry", status=500)


def hang_up(handler, payload, server):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def bomb(handler, payload, server):
    # Members of 1 KB that unpack to 1 MB each; the whole is small enough to be accepted.
    handler.answer(gzip.compress(bytes(1_000_000)) * (100 if len(payload) > 100_000 else 3))


def too_large_announced(handler, payload, server):
    handler.answer(b"\x1f\x8b", length=10**12)
    handler.close_connection = True


def too_large_unannounced(handler, payload, server):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(os.urandom(100_000))
    handler.close_connection = True


FAULTS = {
    truncated: r"connection lost: .*closed",
    truncated_without_length: "not a complete gzip file",
    web_page: "bytes instead of .* web page",
    web_page_as_gzip: "larger than the expected",
    flipped_in_transit: "not a complete gzip file",
    flipped_before_packing: "sha256 is .*, must be",
    another_set_of_equal_size: "sha256 is .*, must be",
    redirect_loop: "more than 5 redirects",
    stalled_before_headers: r"no data for 0\.4 s \(0 bytes received\)",
    stalled_after_headers: r"no data for 0\.4 s \([1-9][\d,]* bytes received\)",
    dripping_body: r"not finished after 1 s",
    dripping_headers: r"not finished after 1 s",
    not_found: "HTTP status 404",
    server_error: "HTTP status 500",
    hang_up: "connection lost",
    bomb: "larger than the expected",
    too_large_announced: "announces 1,000,000,000,000 bytes",
    too_large_unannounced: r"more than [\d,]+ bytes received",
}
SLOW_SERVER = {
    redirect_loop,
    stalled_before_headers,
    stalled_after_headers,
    dripping_body,
    dripping_headers,
}


def limits_for(behave) -> Limits:
    """Short deadlines only where one must pass, so that a busy machine changes no outcome."""
    if behave in SLOW_SERVER:
        return Limits(read_seconds=0.4, total_seconds=1.0)
    return Limits()


def assert_only_good_files(folder: Path, tiny) -> None:
    """Besides locks, the cache folder holds exactly the payloads."""
    left = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith(".lock")}
    assert left == tiny.payloads


@pytest.mark.fault(fault="a hostile or broken mirror, with another one", promises="I4 I7")
@pytest.mark.parametrize("behave", FAULTS, ids=lambda behave: behave.__name__)
def test_bad_server_is_named_and_the_next_source_serves(
    behave, tiny, serve, tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO, "cnn_pipeline.data.fetching.fetch")
    bad, good = serve(behave), serve()

    fetched = fetch(
        tmp_path, tiny.catalog, [bad.mirror("bad", limits_for(behave)), good.mirror("good")]
    )

    assert {f.source for f in fetched.files} == {"good"}
    assert_only_good_files(fetched.folder, tiny)
    assert [m for m in caplog.messages if "bad did not deliver it" in m]
    # A server that wastes time is asked once, one that answers quickly may have other files.
    files_asked = list(dict.fromkeys(bad.requests))
    assert len(files_asked) == (1 if behave in SLOW_SERVER else 4)


@pytest.mark.fault(fault="a hostile or broken mirror, the only one", promises="I4")
@pytest.mark.parametrize("behave", FAULTS, ids=lambda behave: behave.__name__)
def test_without_another_source_the_reason_is_told_and_nothing_is_kept(
    behave, tiny, serve, tmp_path
) -> None:
    with pytest.raises(DataError, match=f"- bad: .*{FAULTS[behave]}"):
        fetch(tmp_path, tiny.catalog, [serve(behave).mirror("bad", limits_for(behave))])

    assert [p.name for p in (tmp_path / "tiny").iterdir()] == [".train-images.lock"]


def repacked(handler, payload, server):
    handler.answer(gzip.compress(payload, compresslevel=1, mtime=12345))


def two_members(handler, payload, server):
    handler.answer(gzip.compress(payload[:100]) + gzip.compress(payload[100:]))


def plain(handler, payload, server):
    handler.answer(payload)


def redirect_once(handler, payload, server):
    if "?" in handler.path:
        handler.answer(gzip.compress(payload))
    else:
        handler.answer(b"", status=302, Location=handler.path + "?again")


def marked_as_transport_encoding(handler, payload, server):
    handler.answer(gzip.compress(payload), Content_Encoding="gzip")


@pytest.mark.parametrize(
    "behave",
    [repacked, two_members, plain, marked_as_transport_encoding],
    ids=lambda behave: behave.__name__,
)
def test_the_payload_decides_not_its_packing(behave, tiny, serve, tmp_path) -> None:
    fetched = fetch(tmp_path, tiny.catalog, [serve(behave).mirror()])

    assert fetched.source == "mirror"
    assert_only_good_files(fetched.folder, tiny)


def test_redirects_are_followed(tiny, serve, tmp_path) -> None:
    target = serve()

    def elsewhere(handler, payload, server):
        handler.answer(b"", status=302, Location=target.url + handler.path.lstrip("/"))

    fetch(tmp_path, tiny.catalog, [serve(elsewhere).mirror()])

    assert target.requests == list(tiny.payloads)


def test_unreachable_mirror_is_asked_once(tiny, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dead = Mirror("dead", f"http://127.0.0.1:{port}/")
    package = Folder("package", tiny.folder(tmp_path / "package"))
    seen = []
    with listening(seen.append):
        fetched = fetch(tmp_path, tiny.catalog, [dead, package])

    assert fetched.source == "package"
    # A slow failure is told as progress; no other file is asked for.
    assert {e.file for e in seen if isinstance(e, DownloadProgress)} <= {"train-images"}


def test_progress_reaches_the_listeners(tiny, serve, tmp_path) -> None:
    seen: list[DownloadProgress] = []
    with listening(lambda event: isinstance(event, DownloadProgress) and seen.append(event)):
        fetch(tmp_path, tiny.catalog, [serve().mirror()])

    last = {event.file: event for event in seen}
    assert list(last) == list(tiny.payloads)
    assert all(e.source == "mirror" and 0 < e.done == e.total for e in last.values())


def test_warm_cache_asks_nobody(tiny, tmp_path) -> None:
    package = Folder("package", tiny.folder(tmp_path / "package"))
    first = fetch(tmp_path, tiny.catalog, [package])
    second = fetch(tmp_path, tiny.catalog, [])

    assert first.source == "package"
    assert second.source == CACHE_SOURCE
    assert [f.path for f in second.files] == [tmp_path / "tiny" / name for name in tiny.payloads]


def test_what_a_killed_process_left_is_tidied_up(tiny, tmp_path) -> None:
    folder = fetch(tmp_path, tiny.catalog, [Folder("p", tiny.folder(tmp_path / "p"))]).folder
    (folder / ".scratch" / "deb").mkdir(parents=True)

    fetch(tmp_path, tiny.catalog, [])

    assert_only_good_files(folder, tiny)


def test_damaged_file_in_the_cache_is_fetched_again(tiny, tmp_path, caplog) -> None:
    package = Folder("package", tiny.folder(tmp_path / "package"))
    victim = fetch(tmp_path, tiny.catalog, [package]).files[1].path
    damaged = bytearray(victim.read_bytes())
    damaged[-1] ^= 1
    victim.write_bytes(damaged)

    fetched = fetch(tmp_path, tiny.catalog, [package])

    assert [f.source for f in fetched.files] == [CACHE_SOURCE, "package"] + 2 * [CACHE_SOURCE]
    assert f"{victim} is damaged" in caplog.text
    assert_only_good_files(fetched.folder, tiny)


def test_files_put_into_the_cache_folder_serve(tiny, tmp_path) -> None:
    tiny.folder(tmp_path / "tiny")

    fetched = fetch(tmp_path, tiny.catalog)

    assert fetched.source == "files put into the cache folder"
    assert all(f.path.read_bytes() == tiny.payloads[f.file.name] for f in fetched.files)


def test_error_lists_every_source_and_the_ways_out(tiny, serve, tmp_path) -> None:
    catalog = replace(tiny.catalog, debian_package="dataset-tiny")
    sources = [
        Folder("package", tmp_path / "nowhere"),
        serve(not_found).mirror("first"),
        serve(web_page).mirror("second"),
    ]
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, catalog, sources)

    lines = str(caught.value).splitlines()
    assert lines[0] == "No source delivered train-images of tiny:"
    assert lines[1:3] == ["  - package: not there", "  - first: HTTP status 404"]
    assert lines[3].startswith("  - second: 57 bytes instead of 120,016; it is a web page")
    for way_out in (
        "apt-get install dataset-tiny",
        str(tmp_path / "tiny"),
        "--data PATH",
        "--data fashion-mnist-sample",
    ):
        assert way_out in str(caught.value)


def test_order_of_the_default_sources(tmp_path) -> None:
    names = [source.name for source in default_sources(FASHION_MNIST, tmp_path)]

    assert names == [
        "files put into the cache folder",
        "Debian package dataset-fashion-mnist",
        "GitHub",
        "Zalando's bucket",
        "Keras' mirror",
        "apt-get download dataset-fashion-mnist",
    ]


# --- other processes ------------------------------------------------------------------------

CHILD = """
import json, sys
from pathlib import Path
from cnn_pipeline.data.catalog import Catalog, CatalogFile
from cnn_pipeline.data.fetching.download import Limits
from cnn_pipeline.data.fetching.fetch import fetch
from cnn_pipeline.data.fetching.sources import Mirror
from cnn_pipeline.base.errors import DataError

cache, url, files = json.loads(sys.argv[1])
catalog = Catalog("tiny", ("a", "b"), 300, 20, *(CatalogFile(*file) for file in files))
try:
    print(fetch(Path(cache), catalog, [Mirror("mirror", url, Limits(read_seconds=60))]).source)
except DataError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def start_child(cache: Path, url: str, tiny, **options) -> subprocess.Popen[str]:
    files = [[f.name, f.payload_bytes, f.sha256] for f in tiny.catalog.files]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps([str(cache), url, files])],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.mark.fault(fault="two processes fetch at once", moment="into one cache", promises="I4 I6")
def test_two_processes_at_once_download_each_file_once(tiny, serve, tmp_path) -> None:
    def slowly(handler, payload, server):
        time.sleep(0.2)
        handler.answer(gzip.compress(payload))

    server = serve(slowly)
    children = [start_child(tmp_path, server.url, tiny) for _ in range(2)]
    outputs = [child.communicate(timeout=60)[0] for child in children]

    assert [child.returncode for child in children] == [0, 0], outputs
    assert sorted(server.requests) == sorted(tiny.payloads)
    assert_only_good_files(tmp_path / "tiny", tiny)


@pytest.mark.fault(
    fault="kill -9 of a download", moment="half of a file was sent", promises="I4 I7"
)
def test_killed_download_leaves_nothing_and_the_next_one_succeeds(tiny, serve, tmp_path) -> None:
    stalled = serve(stalled_after_headers)
    child = start_child(tmp_path, stalled.url, tiny)
    try:
        assert stalled.half_sent.wait(30)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()

    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "tiny" / "train-images").exists()

    fetch(tmp_path, tiny.catalog, [serve().mirror()])
    assert_only_good_files(tmp_path / "tiny", tiny)


def test_held_lock_is_waited_for_no_longer_than_told(tiny, tmp_path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    with (
        FileLock(folder / ".train-images.lock"),
        pytest.raises(DataError, match=r"Waited 0\.1 s for another process"),
    ):
        fetch(tmp_path, tiny.catalog, [], lock_seconds=0.1)


@pytest.mark.fault(fault="full disk", moment="before a download", promises="I4 I8")
def test_full_disk_is_seen_before_anything_is_asked(tiny, serve, tmp_path, monkeypatch) -> None:
    server = serve()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))

    with pytest.raises(DataError, match=r"needs [\d,]+ bytes of free space .* there are 1,000"):
        fetch(tmp_path, tiny.catalog, [server.mirror()])

    assert server.requests == []


@pytest.mark.fault(fault="full disk", moment="in a download", promises="I4 I7")
def test_write_that_fails_midway_drops_the_temporary_file(tiny, serve, tmp_path) -> None:
    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    child = start_child(tmp_path, serve().url, tiny, preexec_fn=limit_file_size)
    output, _ = child.communicate(timeout=60)

    assert child.returncode == 1
    assert "must be writable, received: File too large" in output
    assert [p.name for p in (tmp_path / "tiny").iterdir()] == [".train-images.lock"]


def test_cache_that_is_no_folder(tiny, tmp_path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file")

    with pytest.raises(DataError, match="Set CNN_PIPELINE_CACHE"):
        fetch(cache, tiny.catalog, [])


# --- apt ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Programs:
    """Stand-ins for apt-get and dpkg-deb on PATH."""

    folder: Path

    def write(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Programs(folder)


def deliver(source: AptPackage, file: CatalogFile, folder: Path) -> bytes:
    with (folder / "target").open("w+b") as target:
        source.deliver(file, target, folder / ".scratch")
        target.seek(0)
        return target.read()


def test_apt_package_is_downloaded_once_for_all_files(tiny, tmp_path, programs) -> None:
    tiny.folder(tmp_path / "package")
    programs.write("apt-get", 'for last; do :; done; echo "$last" >> ../../calls; touch x.deb')
    programs.write(
        "dpkg-deb", f'mkdir -p "$3/usr/tiny" && cp {tmp_path / "package"}/* "$3/usr/tiny"'
    )
    fetched = fetch(tmp_path, tiny.catalog, [AptPackage("dataset-tiny", "/usr/tiny")])

    assert fetched.source == "apt-get download dataset-tiny"
    assert (fetched.folder / "calls").read_text().split() == ["update", "dataset-tiny"]
    (fetched.folder / "calls").unlink()
    assert_only_good_files(fetched.folder, tiny)


def test_apt_failure_tells_its_reason(tiny, tmp_path, programs) -> None:
    programs.write("apt-get", 'echo "Reading"; echo "E: Unable to locate package"; exit 100')
    programs.write("dpkg-deb", "exit 1")

    with pytest.raises(SourceError, match="status 100: E: Unable to locate package"):
        deliver(AptPackage("dataset-tiny", "/usr/tiny"), tiny.catalog.train_images, tmp_path)


def test_apt_without_a_network_tells_of_the_network(tiny, tmp_path, programs) -> None:
    programs.write(
        "apt-get",
        'case "$*" in *update) echo "W: Failed to fetch http://d: no route";; '
        '*) echo "E: Unable to locate package"; exit 100;; esac',
    )
    programs.write("dpkg-deb", "exit 1")

    reason = r"Unable to locate package .*Failed to fetch .*no route"
    with pytest.raises(SourceError, match=reason):
        deliver(AptPackage("dataset-tiny", "/usr/tiny"), tiny.catalog.train_images, tmp_path)


def test_hanging_apt_is_ended_with_its_helpers(tiny, tmp_path, programs) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    # The helper holds the pipe open for as long as it lives.
    programs.write("apt-get", f"sleep 600 > {alive} & wait")
    programs.write("dpkg-deb", "exit 1")
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(SourceError, match=r"apt-get did not finish within 0\.5 s"):
            deliver(
                AptPackage("dataset-tiny", "/usr/tiny", seconds=0.5),
                tiny.catalog.train_images,
                tmp_path,
            )
        readable, _, _ = select.select([reader], [], [], 10)
        assert readable, "the helper is still alive"
        assert os.read(reader, 1) == b""  # end of file: nobody has it open any more
    finally:
        os.close(reader)


def test_machine_without_apt(tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SourceError, match="there is no apt-get on this machine"):
        deliver(AptPackage("dataset-tiny", "/usr/tiny"), tiny.catalog.train_images, tmp_path)


# --- the real files -------------------------------------------------------------------------


def test_real_files(real_cache) -> None:
    fetched = fetch(real_cache)

    assert fetched.source == CACHE_SOURCE
    for item in fetched.files:
        assert sha256_of(item.path) == item.file.sha256
    assert not (fetched.folder / ".scratch").exists()
