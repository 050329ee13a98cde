"""The documentation against the program: what it says can be done, can be done as it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.cli.app import COMMANDS, app
from cnn_pipeline.cli.parsing import Faults
from cnn_pipeline.experiment.outcome import Outcome
from scripts.reference import commands_page, configuration_page, python_page
from scripts.reference.commands import options_of
from scripts.reference.configuration import SECTIONS
from scripts.reference.python_api import MODULES
from tests.project.documents import (
    DOCS,
    PAGES,
    ROOT,
    Block,
    Command,
    anchors,
    blocks,
    commands,
    links,
    shell_commands,
)

pytestmark = pytest.mark.docs

MADE: dict[str, Callable[[], str]] = {
    "commands": commands_page,
    "configuration": configuration_page,
    "python": python_page,
}
ALL_COMMANDS = [command for page in PAGES for command in commands(page)]
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
# `make run ARGS=...` hands these on to the command of the same name.
HANDS_ON = ("run", "ui", "up", "down", "doctor")
# What a sentence may leave out, as in "`cnn-pipeline promote`".
LEFT_OUT = (
    "--why: is required", "IMAGE: give", "RUN: give", "RUN: name",
    "--tracking-uri: is required", "--experiment: is required", "--group-by: is required",
)  # fmt: skip
# Commands that print the same on every machine, and in a second or two.
EXACT = ("sweeps", "plan", "explain --convolution")


class Checked(Exception):
    """A command has found nothing wrong with its input, and would begin now."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the pages speak of."""
    place = tmp_path_factory.mktemp("reader")
    for block in ALL_BLOCKS:
        if block.language == "toml":
            (place / block.file_name).write_text(block.text, encoding="utf-8")
    pictures = {word for c in ALL_COMMANDS for word in c.words if re.search(r"\.(png|jpg)$", word)}
    pixels = np.zeros((28, 28), dtype=np.uint8)
    for name in pictures:
        Image.fromarray(pixels).save(place / name)
    (place / "serve.token").touch(mode=0o600)
    (place / "serve.token").write_text("0" * 64)
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 5)):
        for label in ("cat", "dog"):
            own = place / "my-images" / part / label
            own.mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(0, 256, (28, 28), dtype=np.uint8)
                Image.fromarray(noise).save(own / f"{number}.png")
    lines = ["path,label"]
    for number in range(320):
        path = f"photos/{('cat', 'dog')[number % 2]}/p{number // 8}_{number}.png"
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(noise).save(place / path)
        lines.append(f"{path},{number % 2}")
    (place / "labels.csv").write_text("\n".join(lines))
    (place / "other").mkdir()
    (place / "other" / "photos").symlink_to(place / "photos")
    np.savez(
        place / "my-images.npz",
        x_train=generator.integers(0, 256, (40, 16, 16), dtype=np.uint8),
        y_train=np.arange(40) % 2,
        x_test=generator.integers(0, 256, (10, 16, 16), dtype=np.uint8),
        y_test=np.arange(10) % 2,
    )
    return place


@pytest.fixture
def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who stands in that folder, and whose commands stop where the work would begin."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(folder / "home"))
    gather = Faults.stop

    def stop(faults: Faults) -> None:
        gather(faults)
        raise Checked

    monkeypatch.setattr(Faults, "stop", stop)


def faults_in(words: tuple[str, ...]) -> list[str]:
    """What `cnn-pipeline` says against these words."""
    if not words or set(words) & {"--help", "-h", "--version"}:
        words = tuple(word for word in words if not word.startswith("-"))
        return [] if set(words) <= set(COMMANDS) else [f"unknown command {words}"]
    try:
        app.main(list(words), prog_name="cnn-pipeline", standalone_mode=False)
    except Checked:
        return []
    except InvalidInput as error:
        return error.faults
    except click.ClickException as error:
        return [error.format_message()]
    raise AssertionError(f"{words} began its work without a check")


def without_placeholders(words: tuple[str, ...]) -> tuple[str, ...]:
    """'--home DIR' says nothing on what DIR is: such a flag must exist, and is left out then."""
    kept: list[str] = []
    command = app.get_command(click.Context(app), words[0])
    flags = {flag for option in options_of(command) for flag in option.opts} if command else set()
    for word in words:
        if re.fullmatch(r"[A-Z]{1,8}(\.\.\.)?", word):
            if kept and kept[-1].startswith("--"):
                assert kept[-1] in flags, f"{kept[-1]} is no flag of {words[0]}"
                kept.pop()
            continue
        kept.append(word)
    return tuple(kept)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("command", ALL_COMMANDS, ids=str)
def test_a_command_is_one_that_the_program_takes(command: Command) -> None:
    program, *words = command.words
    if program == "make":
        named = [word for word in words if not word.startswith("-") and "=" not in word]
        assert set(named) <= TARGETS
        handed = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
        if handed and named[0] in HANDS_ON:
            assert faults_in((named[0], *handed[0].split())) == []
        return
    if words[0] == "COMMAND":
        return
    found = faults_in(without_placeholders(tuple(words)))
    if command.inline:
        found = [fault for fault in found if not fault.startswith(LEFT_OUT)]
    assert bool(found) is command.fails, found


def test_wrong_commands_are_seen() -> None:
    """The check above can fail: on a command, a flag, and what only pydantic knows."""
    assert faults_in(("retrian",))
    assert faults_in(("compare", "--formt", "csv"))
    assert faults_in(("run", "--epochs", "0"))


def test_commands_are_found_where_shell_hides_them() -> None:
    shell = """
    A=1 cnn-pipeline compare --format csv > leaderboard.csv  # kept
    printf '%s' "$(base64 < boot.png | tr -d x)" |
      .venv/bin/cnn-pipeline run \\
        --epochs 3 && make ui
    sudo -u cnn B=2 /srv/x/.venv/bin/cnn-pipeline doctor; sudo git clone . /srv/cnn-pipeline
    """
    assert shell_commands(shell) == [
        ("cnn-pipeline", "compare", "--format", "csv"),
        ("cnn-pipeline", "run", "--epochs", "3"),
        ("make", "ui"),
        ("cnn-pipeline", "doctor"),
    ]


def exact_blocks() -> list[Block]:
    """Blocks of a single command whose output is the same everywhere."""
    return [
        block
        for block in ALL_BLOCKS
        if block.output is not None
        and block.text.startswith(tuple(f"cnn-pipeline {words}" for words in EXACT))
        and block.text.count("\n") == 1
    ]


def elided(output: str) -> re.Pattern[str]:
    """What a page prints as a pattern; a line '...' stands for lines that are left out."""
    parts = map(re.escape, output.rstrip("\n").split("\n...\n"))
    return re.compile(r"\n(?s:.*)\n".join(parts))


@pytest.mark.parametrize("block", exact_blocks(), ids=lambda block: block.name)
def test_the_output_shown_is_the_output_printed(block: Block, folder: Path) -> None:
    done = execute(block.text, folder, folder / "home")
    printed = done.stderr if done.returncode else done.stdout
    assert block.output is not None
    assert elided(block.output).fullmatch(printed.rstrip("\n")), printed
    assert (done.returncode == 2) is block.output.startswith("error:")


def test_some_output_is_compared() -> None:
    assert {block.page.name for block in exact_blocks()} >= {"own-sweep.md", "first-sweep.md"}


def execute(shell: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a piece of shell as a reader who has activated the environment."""
    programs = Path(sys.executable).parent
    return subprocess.run(
        ["/bin/sh", "-e", "-c", shell],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "CNN_PIPELINE_HOME": str(home),
            # Else each reader would wait for the migrations of an empty cache.
            "CNN_PIPELINE_CACHE": str(cache_dir(os.environ)),
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    """Every step but the installation and the page that is served until Ctrl-C."""
    home, ran = tmp_path / "home", []
    for block in blocks(DOCS / "tutorial" / "first-sweep.md"):
        if block.language == "python":
            (tmp_path / "step.py").write_text(block.text, encoding="utf-8")
            done = execute("python step.py", tmp_path, home)
            assert done.stdout == block.output, done.stderr
        elif block.language == "sh" and block.text.startswith("cnn-pipeline"):
            if block.text.startswith("cnn-pipeline ui"):
                continue
            done = execute(block.text, tmp_path, home)
            assert done.returncode == 0, done.stderr
            ran.append(block.text.split()[1])
    assert ran == ["plan", "run", "compare", "report", "explain", "predict"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list((tmp_path / "explained").glob("*/journey.png"))


def python_blocks() -> list[Any]:
    return [
        pytest.param(
            block,
            id=block.name,
            marks=[pytest.mark.slow] if "run_sweep(" in block.text else [],
        )
        for block in ALL_BLOCKS
        if block.language == "python"
    ]


@pytest.mark.parametrize("block", python_blocks())
def test_python_code_runs_and_prints_what_is_shown(
    block: Block,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "run_sweep(" in block.text:
        request.getfixturevalue("shared_trainers")
    monkeypatch.chdir(tmp_path)
    # Code that takes the default home shall not write into this checkout.
    monkeypatch.setattr("cnn_pipeline.base.home._project_root", lambda: tmp_path)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})
    if block.output is not None:
        assert capsys.readouterr().out == block.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {page.name}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(whole(target)), f"{link} in {page.name}"


def whole(page: Path) -> str:
    """A page with the parts that are made when the site is built."""
    return re.sub(
        r"^<!-- made: (\w+) -->$",
        lambda found: MADE[found[1]]() if found[1] in MADE else "",
        page.read_text(encoding="utf-8"),
        flags=re.M,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_of_this_machine_is_written_down(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # The folders of this checkout, this user and this machine's scratch files.
    for place in (ROOT, Path.home(), Path(tempfile.gettempdir())):
        assert not re.search(rf"(?<![\w.]){re.escape(str(place))}(?=/|\b)", text), place
    assert not re.search(r"pypi\.|--(extra-)?index-url|/simple/", text)
    # Examples of hosts are of loopback, or of names that belong to nobody (RFC 2606).
    hosts = re.findall(r"\bhttps?://([^\s/:)`\"'>]+)", text)
    shown = [
        host for host in hosts if not re.search(r"(^127\.0\.0\.1|^localhost|\.example)$", host)
    ]
    if page.parent != ROOT:
        assert shown == []


def test_the_reference_has_every_command_and_flag() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", commands_page(), re.M | re.S))
    assert list(sections) == list(COMMANDS)
    for name, text in sections.items():
        command = app.get_command(click.Context(app), name)
        assert command is not None
        for option in options_of(command):
            assert f"`{option.opts[0]}`" in text, f"{name} {option.opts[0]}"


def test_the_reference_has_every_field_and_module() -> None:
    text = configuration_page()
    for title, model in SECTIONS:
        section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
        for field in model.model_fields:
            assert f"| `{field}` |" in section, f"{model.__name__}.{field}"
            assert model.model_fields[field].description, f"{model.__name__}.{field} says nothing"
    listed = re.findall(r"^## cnn_pipeline\.(\S+)$", python_page(), re.M)
    assert listed == list(MODULES)


def test_the_reference_has_every_variable_of_the_environment() -> None:
    sources = [*(ROOT / "cnn_pipeline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    code = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    own = set(re.findall(r"\bCNN_PIPELINE_[A-Z_]+[A-Z]\b", code))
    assert own >= {"CNN_PIPELINE_HOME", "CNN_PIPELINE_CACHE"}
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    assert own == set(re.findall(r"^\| `(CNN_PIPELINE_\w+)`", page, re.M))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    done = build(DOCS, out)
    assert done.returncode == 0, done.stderr
    return out


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Sphinx with the flags of the Makefile, and with docs/conf.py."""
    recipe = re.search(r"-m sphinx (.+?) docs ", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert recipe is not None
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *recipe[1].split(), "-c", DOCS, source, out],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_the_site_has_every_page(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            built = site / page.relative_to(DOCS).with_suffix(".html")
            assert f"<title>{title_of(page)}" in built.read_text(encoding="utf-8")
    assert 'href="#retrain"' in (site / "reference/commands.html").read_text(encoding="utf-8")
    assert (site / "searchindex.js").stat().st_size > 10_000


def title_of(page: Path) -> str:
    """A page's heading as HTML; the first page has the name of the site alone."""
    heading = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return heading.replace("&", "&amp;").replace("'", "&#39;")


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# A page\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert "nowhere" in done.stderr


class Requests(HTMLParser):
    """Collects what a browser would fetch by itself; a link that one may click is none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in ("src", "srcset", "data", "poster") or (
                name == "href" and tag in ("link", "image", "use", "base")
            )
            if fetched and value:
                self.found.append(value)
            if name == "style" and value:
                self.found += urls_in(value)


def urls_in(css: str) -> list[str]:
    """What a style sheet would fetch."""
    return re.findall(r"url\(\s*['\"]?([^'\")]+)", css) + re.findall(
        r"@import\s+['\"]([^'\"]+)", css
    )


def test_requests_to_other_hosts_would_be_seen() -> None:
    parser = Requests()
    parser.feed(
        '<link href="//a.example/x.css"><script src="https://b.example/y.js"></script>'
        '<a href="https://c.example">fine</a><p style="background: url(http://d.example/z)">'
    )
    assert parser.found == ["//a.example/x.css", "https://b.example/y.js", "http://d.example/z"]
    assert urls_in('@import "https://e.example/f.css";') == ["https://e.example/f.css"]


def test_the_site_asks_no_other_host_for_anything(site: Path) -> None:
    requests: list[str] = []
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        parser = Requests()
        parser.feed(text)
        requests += parser.found
        for style in re.findall(r"<style.*?</style>", text, re.S):
            requests += urls_in(style)
    for sheet in site.rglob("*.css"):
        requests += urls_in(sheet.read_text(encoding="utf-8"))
    assert any(request.endswith("furo.css") or "furo.css?" in request for request in requests)
    assert [r for r in requests if re.match(r"([a-z]+:)?//", r)] == []
    # Scripts that fetch do so with an address of their own in them.
    for script in site.rglob("*.js"):
        code = script.read_text(encoding="utf-8")
        fetches = re.findall(r"(?:fetch|import|open)\(\s*[\"'`](https?:[^\"'`]+)", code)
        assert fetches == [], script.name


def test_the_list_of_decisions_has_each_page_with_its_status() -> None:
    listed = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(.+)\]\((\S+)\) \| (.+) \|$", listed, re.M)
    pages = [
        (text.partition("\n")[0].removeprefix("# "), page.name, status_of(text))
        for page in sorted((DOCS / "decisions").glob("0*.md"))
        for text in [page.read_text(encoding="utf-8")]
    ]
    assert rows == pages


def status_of(decision: str) -> str:
    """'accepted', 'withdrawn' or 'superseded by 17': the third line, without links and date."""
    line = decision.splitlines()[2]
    found = re.match(
        r"Status: (accepted|withdrawn|superseded (?:in part )?by \[\d+\]\(\S+\)), \d{4}-\d\d-\d\d",
        line,
    )
    assert found is not None, line
    return re.sub(r"\[(\d+)\]\(\S+\)", r"\1", found[1])


@pytest.mark.slow
def test_names_in_mlflow_are_those_of_the_reference(tiny: tuple[Home, Outcome]) -> None:
    from mlflow.tracking import MlflowClient

    home, outcome = tiny
    client = MlflowClient(home.database_uri)
    trials = [client.get_run(result.run_id) for result in outcome.results]
    parent = client.get_run(outcome.parent_run_id)
    page = (DOCS / "reference" / "mlflow.md").read_text(encoding="utf-8")

    def held(heading: str, used: set[str], absent: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        named = set(re.findall(r"^\| `([^`]+)` \|", section, re.M))
        patterns = {name: re.compile(re.sub("<[a-z]+>", "[^/]+", name)) for name in named}
        unknown = {name for name in used if not any(p.fullmatch(name) for p in patterns.values())}
        unused = {n for n, p in patterns.items() if not any(p.fullmatch(name) for name in used)}
        assert unknown == set(), heading
        assert unused == absent, heading

    metrics = {key for run in trials for key in run.data.metrics}
    curves = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds"}
    details = {key for key in metrics if "/" in key}
    tags = {key for run in trials for key in run.data.tags if not key.startswith("mlflow.")}
    shared = re.findall(
        r"`([a-z_.]+)`", page.partition("## Tags of a sweep's run\n")[2].partition("|")[0]
    )
    held("Params", {key for run in trials for key in run.data.params})
    # This sweep has a list of seeds, so no rounds.
    scores = {*parent.data.params, *parent.data.metrics}
    held("Params and scores of a sweep's run", scores, {"num_rounds"})
    held("Curves", curves & metrics)
    # One seed of each variant says nothing of the best recipe.
    held("Scores", metrics - curves - details, {"may_be_best"})
    held("Details", details)
    # This sweep runs without Prefect and Ray, in an empty store, and nothing stops early.
    # No search has chosen its variants, and its data have test images.
    held(
        "Tags of a variant's run",
        tags,
        {
            *("prefect.flow_run_id", "prefect.flow_run_url", "reused_from", "stop_reason"),
            *("continued_at", "worked_seconds", "node"),
        },
    )
    held(
        "Tags of a sweep's run",
        {key for key in parent.data.tags if not key.startswith("mlflow.")} - set(shared),
        {"rounds", "rounds.answer", "rounds.guarantee", "rounds.dropped", "search", "test_drawn"},
    )
    held("Files of a variant's run", {f for run in trials for f in files(client, run.info.run_id)})
    # Its variants differ in two settings each, so no effect can be estimated.
    sweep_files = set(files(client, outcome.parent_run_id))
    # The names of its classes have letters that every font has.
    rare = {"plots/effects.svg", "plots/class_names.txt", "search.json"}
    held("Files of a sweep's run", sweep_files, rare)


def files(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    """Paths of a run's artifacts."""
    found: list[str] = []
    for item in client.list_artifacts(run_id, folder):
        found += files(client, run_id, item.path) if item.is_dir else [item.path]
    return found


def test_the_configuration_of_the_site_names_the_made_parts() -> None:
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None and spec.loader is not None
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    used = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"^<!-- made: (\w+) -->$", page.read_text(encoding="utf-8"), re.M)
    }
    assert used == set(conf.PARTS)
