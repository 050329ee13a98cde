"""What a sweep of thousands of trials costs beside its training: command, store, comparison, node.

    .venv/bin/python -m benchmarks.scaling                   # about 20 minutes
    .venv/bin/python -m benchmarks.scaling trials store      # some parts

- `trials`: the flow of `cnn-pipeline run` with 10 to 5,000 trials on 16 trainers that sleep 0.05 s
  instead of training, and record nothing. Prefect's server, MLflow's store and the progress are
  those of the command.
- `store`: 10,000 runs in SQLite and in PostgreSQL (Debian's package), copied from one real trial
  with accuracies and predictions drawn by chance; what `list`, `watch`, `compare` and `report` ask.
- `node`: one real trial of the tutorial's network, and how large everything is that moves.

Each figure comes from a process of its own. Processor time is the command's alone, without that of
the servers. Adds to `benchmarks/results/scaling.json`, and writes the tables and the picture.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import in_words, this_machine
from benchmarks.report import RESULTS, markdown, say, write
from benchmarks.timing import PROGRAM, answers_at_once
from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.files import sha256_of_bytes
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home, cache_dir
from cnn_pipeline.base.startup import collect_rarely
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import decide
from cnn_pipeline.experiment.run_rounds import run_rounds
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.settings.sweep import MAX_VARIANTS, Axes, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.messages import JOBS, TRAINER_MESSAGES, Job, Reply
from cnn_pipeline.trainers.pool import Crew

FILE = RESULTS / "scaling.json"
PICTURE = RESULTS.parent.parent / "docs" / "images" / "scaling.png"
_TRIALS = (10, 100, 1000, 5000)
_TRAINERS, _SLEEP, _EPOCHS = 16, 0.05, 5
_RUNS = 10_000
_ASKED = (1000, 100)
"""Variants of the sweeps that are asked for."""
_DATA = DataSettings(train_limit=2000)
_REPEATS = 5


def main() -> None:
    """Measure the parts that were named, in processes of their own."""
    parser = argparse.ArgumentParser(prog="scaling", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="trials, store, node; or all")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        kind, *words = given.one
        collect_rarely()  # as each command does
        print(json.dumps({"trials": _trials, "ask": _ask}[kind](*words)))
        return
    known = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    parts: dict[str, Callable[[], Any]] = {
        "trials": lambda: [_own_process("trials", str(count)) for count in _TRIALS],
        "store": _store,
        "node": _node,
    }
    for part in given.parts or parts:
        say(f"== {part}")
        known[part] = {"machine": this_machine(), "measured": parts[part]()}
        FILE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    show(known)


def _own_process(*words: str, environment: Mapping[str, str] | None = None) -> Any:
    line = [sys.executable, "-m", "benchmarks.scaling", "--one", *words]
    answer = answers_at_once(line, 1, {**os.environ, **(environment or {})})[0]
    say(f"{' '.join(words)}: {answer}")
    return answer


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _sweep(variants: int, seeds: int = 1, name: str = "scaling") -> Sweep:
    """So many networks: up to ten numbers of filters, times numbers of dense units."""
    filters = tuple(range(2, 2 + min(10, variants)))
    units = tuple(range(8, 8 + variants // len(filters)))
    return Sweep(
        name=name,
        axes=Axes(filters=filters, dense_units=units),
        seeds=tuple(range(seeds)),
        training=Training(epochs=_EPOCHS),
        data=_DATA,
    )


class _SleepingPool:
    """Stands in for a `TrainerPool`: it sleeps, and tells what a trainer tells."""

    count = now = _TRAINERS
    threads = 1
    stopped = ""

    def run(self, job: Job) -> Reply:
        name = job.trial.name
        for phase in ("building", "training"):
            events.emit(events.TrialPhase(name, phase))
        for epoch in range(_EPOCHS):
            time.sleep(_SLEEP / _EPOCHS)
            events.emit(_progress(name, epoch))
        events.emit(events.TrialPhase(name, "evaluating"))
        return Reply("FINISHED", metrics={"val_accuracy_final": 0.9, "test_accuracy": 0.9})

    def close(self, why: str = "") -> None:
        self.stopped = why


def _progress(name: str, epoch: int) -> events.TrialProgress:
    metrics = {"loss": 0.4, "accuracy": 0.85, "val_loss": 0.4, "val_accuracy": 0.85}
    return events.TrialProgress(name, epoch, _EPOCHS, 2000 * (epoch + 1), 2000 * _EPOCHS, metrics)


def _trials(text: str) -> dict[str, float]:
    """Time, memory and databases of one sweep of so many trials."""
    from cnn_pipeline.cli.launch import prefect_ready
    from cnn_pipeline.cli.progress import progress_on

    count = int(text)
    variants = min(count, MAX_VARIANTS)
    sweep = _sweep(variants, count // variants)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        progress_on(nowhere),
    ):
        home = Home(Path(folder))
        card = prepare_data(_DATA, cache_dir(os.environ))
        began = time.process_time()
        decision = decide(sweep, card, home, Crew(workers=_TRAINERS, threads=1))
        decided = time.process_time() - began
        with prefect_ready(home):
            from prefect import flow

            from flows.tasks import prefect_tags, reuse_variant, train_all

            pool: Any = _SleepingPool()
            taken: dict[str, float] = {}

            def inside() -> None:
                with steps.running(decision, prefect_tags()) as run:
                    steps.prepare_finish()  # else it is done while the first trials run
                    before = time.perf_counter(), time.process_time()
                    train = functools.partial(train_all, lambda: pool)
                    run_rounds(run, reuse_variant, train, conclude=False)
                    taken["wall_s"] = time.perf_counter() - before[0]
                    taken["cpu_s"] = time.process_time() - before[1]

            flow(name="scaling", validate_parameters=False)(inside)()
        sizes = {path.name: path.stat().st_size for path in Path(folder).rglob("*.db")}
    return {
        "trials": count,
        "decide_cpu_s": decided,
        **taken,
        "peak_mib": _peak_mib(),
        "mlflow_bytes": sizes["mlflow.db"],
        "prefect_bytes": sizes["prefect.db"],
    }


def _store() -> list[dict[str, Any]]:
    """What each question takes in each kind of store."""
    found = []
    for kind, place in (("SQLite", _sqlite), ("PostgreSQL", _postgres)):
        with tempfile.TemporaryDirectory() as folder, place() as uri:
            environment = {TRACKING_VARIABLE: uri} if uri else {}
            home = Home(Path(folder))
            ids = _fill(home, environment)
            say(f"{kind}: {_RUNS:,} runs")
            for variants, sweep_id in zip(_ASKED, ids, strict=True):
                for question in QUESTIONS:
                    if question == "list" and variants != _ASKED[0]:
                        continue  # it is not about one sweep
                    words = ("ask", question, folder, sweep_id)
                    answer = _own_process(*words, environment=environment)
                    about = {"store": kind, "variants": variants, "question": question}
                    found.append({**about, **answer})
    return found


@contextmanager
def _sqlite() -> Iterator[str]:
    yield ""


@contextmanager
def _postgres() -> Iterator[str]:
    from tests.e2e.postgres import cluster, programs

    folder = programs()
    if folder is None:
        raise SystemExit("PostgreSQL is required, and was not found: apt install postgresql")
    with cluster(folder, ("scaling",)) as postgres:
        yield f"postgresql://{postgres.host}/scaling"


def _real_trial(home: Home, environment: Mapping[str, str]) -> str:
    """Train the tutorial's network for two epochs; the id of its run."""
    from mlflow.tracking import MlflowClient

    words = [str(PROGRAM), "run", "--filters", "32", "--pooling", "max", "--seeds", "0"]
    words += ["--epochs", "2", "--train-limit", "2000", "--home", str(home.root)]
    subprocess.run(
        words, check=True, capture_output=True, cwd=home.root, env={**os.environ, **environment}
    )
    client = MlflowClient(environment.get(TRACKING_VARIABLE, home.database_uri))
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.{names.KIND} = '{names.TRIAL_KIND}'")
    return str(found[0].info.run_id)


def _fill(home: Home, environment: Mapping[str, str]) -> list[str]:
    """Fill the store with sweeps; the ids of those that are asked for."""
    os.environ.update(environment)
    try:
        template = _real_trial(home, environment)
        sizes = list(_ASKED)
        while (left := _RUNS - sum(sizes) - len(sizes)) > 0:
            sizes.append(min(left, MAX_VARIANTS) // 10 * 10 or left)
        ids = []
        for number, variants in enumerate(sizes):
            card = prepare_data(_DATA, cache_dir(os.environ))
            sweep = _sweep(variants, name=f"scaling-{number}")
            crew = Crew(workers=2, threads=1)
            run = steps.begin(decide(sweep, card, home, crew, force=True), {})
            _copy(run, template, files=number < len(_ASKED))
            tracker = run.tracker()
            if number >= len(_ASKED):  # as if it had been compared
                counts = (metric_names.NUM_VARIANTS, metric_names.NUM_TRIALS)
                tracker.log_summary(
                    run.run_id,
                    {**dict.fromkeys(counts, float(variants)), metric_names.NUM_FAILED: 0.0},
                )
            tracker.end(run.run_id, "FINISHED")
            ids.append(run.sweep_id)
        return ids[: len(_ASKED)]
    finally:
        for name in environment:
            os.environ.pop(name, None)


def _copy(run: SweepRun, template: str, *, files: bool) -> None:
    """Give the sweep a run for each trial, like `template` but for what names and scores it."""
    import numpy as np
    import pandas as pd
    import sqlalchemy as sa
    from mlflow.store.tracking.dbmodels import models

    engine = sa.create_engine(run.store_uri)
    copies = sa.Table("copies", sa.MetaData(), sa.Column("run_uuid", sa.String(32)))
    tables = (models.SqlTag, models.SqlParam, models.SqlMetric, models.SqlLatestMetric)
    with engine.begin() as store:
        source = (
            store.execute(
                sa.select(models.SqlRun.__table__).where(models.SqlRun.run_uuid == template)
            )
            .one()
            ._asdict()
        )
        folder = Path(source["artifact_uri"].removeprefix("file://"))
        answers = pd.read_parquet(folder / names.PREDICTIONS_FILE)
        labels = answers["label"].to_numpy()
        rng = np.random.default_rng(20261130)
        hard = rng.normal(size=len(labels))
        root = folder.parent.parent
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("runs", "tags", "params")}
        scores = []
        now = int(time.time() * 1000)
        for trial in run.decision.sweep.trials():
            run_id = uuid.uuid4().hex
            units = trial.variant.dense_units
            right = hard + 0.4 * rng.normal(size=len(labels)) < 1.4 + units / 2000
            sha = ""
            if files:
                target = root / run_id / "artifacts"
                shutil.copytree(folder, target, copy_function=os.link)
                content = _answers(answers, labels, right)
                (target / names.PREDICTIONS_FILE).unlink()
                (target / names.PREDICTIONS_FILE).write_bytes(content)
                sha = sha256_of_bytes(content)
            rows["runs"].append(
                {
                    **source,
                    "run_uuid": run_id,
                    "name": trial.name,
                    "start_time": now,
                    "end_time": now + 60_000,
                    "artifact_uri": f"file://{root}/{run_id}/artifacts",
                }
            )
            tags = {
                "mlflow.runName": trial.name,
                names.TRIAL: trial.name,
                names.VARIANT: trial.label,
                names.VARIANT_HASH: trial.variant.content_hash(),
                names.SWEEP_ID: run.sweep_id,
                names.PARENT: run.run_id,
                names.CONTENT_KEY: run.decision.content_keys[trial.name],
                names.PREDICTIONS_SHA256: sha,
            }
            params = {names.VARIANT: trial.label, "dense_units": str(units)}
            params["filters"] = str(trial.variant.filters)
            for table, values in (("tags", tags), ("params", params)):
                rows[table] += [
                    {"run_uuid": run_id, "key": key, "value": value}
                    for key, value in values.items()
                ]
            test = float(right.mean())
            score = {"test_accuracy": test, "val_accuracy_final": test + 0.002 * rng.normal()}
            scores += [
                {"run_uuid": run_id, "key": key, "value": value, "timestamp": now, "step": 0}
                | {"is_nan": False}
                for key, value in score.items()
            ]
        copies.create(store)
        ids = [{"run_uuid": row["run_uuid"]} for row in rows["runs"]]
        store.execute(sa.insert(copies), ids)
        store.execute(sa.insert(models.SqlRun.__table__), rows["runs"])
        own = {row["key"] for row in (*rows["tags"], *rows["params"], *scores)}
        for model in tables:
            table = model.__table__
            columns = [copies.c.run_uuid if c.name == "run_uuid" else c for c in table.columns]
            copied = (
                sa.select(*columns)
                .select_from(table.join(copies, sa.true()))
                .where(table.c.run_uuid == template, table.c.key.not_in(own))
            )
            store.execute(sa.insert(table).from_select([c.name for c in table.columns], copied))
        store.execute(sa.insert(models.SqlTag.__table__), rows["tags"])
        store.execute(sa.insert(models.SqlParam.__table__), rows["params"])
        for model in (models.SqlMetric, models.SqlLatestMetric):
            store.execute(sa.insert(model.__table__), scores)
        copies.drop(store)
    engine.dispose()


def _answers(answers: Any, labels: Any, right: Any) -> bytes:
    """A file of predictions that are right where `right` says so."""
    import numpy as np

    table = answers.copy()
    said = np.where(right, labels, (labels + 1) % 10)
    for number in range(10):
        table[f"p{number}"] = np.where(said == number, 0.91, 0.01).astype("float32")
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def _list(home: Home, sweep_id: str) -> str:
    from cnn_pipeline.tracking.overview import list_sweeps
    from cnn_pipeline.tracking.store import open_store

    return list_sweeps(open_store(home, os.environ), 20).model_dump_json()


def _search(home: Home, sweep_id: str) -> str:
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(home, os.environ))
    return repr(reader.trials(reader.sweep(sweep_id)))


@functools.cache
def _watching(home: Home, sweep_id: str) -> Any:
    from cnn_pipeline.cli.watching import Watch

    return Watch(sweep_id, home, "", wait=False)


def _watch(home: Home, sweep_id: str) -> str:
    return str(_watching(home, sweep_id).snapshot().model_dump_json())


def _compare(home: Home, sweep_id: str) -> str:
    from cnn_pipeline.comparison import render
    from cnn_pipeline.experiment.stored import load_comparison

    return render.to_text(load_comparison(sweep_id, home))


def _report(home: Home, sweep_id: str) -> str:
    from cnn_pipeline.experiment.stored import load_report

    return load_report(sweep_id, home)


QUESTIONS: dict[str, tuple[Callable[[Home, str], str], int]] = {
    "list": (_list, _REPEATS),
    "search": (_search, _REPEATS),
    "watch": (_watch, _REPEATS),
    "compare": (_compare, 0),
    "report": (_report, 0),
}
"""What is asked, and how often it is asked again after the first time, which imports."""


def _ask(question: str, folder: str, sweep_id: str) -> dict[str, float]:
    """Seconds of one question, and how long its answer is."""
    call, repeats = QUESTIONS[question]
    home, taken = Home(Path(folder)), []
    for _ in range(1 + repeats):
        before = time.perf_counter(), time.process_time()
        answer = call(home, sweep_id)
        taken.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    wall, cpu = (statistics.median(each) for each in zip(*(taken[1:] or taken), strict=True))
    if keep := os.environ.get("SCALING_KEEP"):
        Path(keep, f"{question}-{sweep_id}").write_text(answer, encoding="utf-8")
    return {
        "first_s": taken[0][0],
        "seconds": wall,
        "cpu_s": cpu,
        "answer_bytes": len(answer.encode()),
        "peak_mib": _peak_mib(),
    }


def _node() -> dict[str, float]:
    """Bytes of what one real trial reads, is told, tells and leaves."""
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        run_id = _real_trial(home, {})
        run = MlflowClient(home.database_uri).get_run(run_id)
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        kept = _folder_size(artifacts)
        model = _folder_size(artifacts.parent.parent / "models")
    trial = _sweep(10).trials()[0]
    job = Job(
        trial=trial, data=_DATA, data_digest="0" * 64, cache="/cache", store_uri="http://host:5000",
        artifacts_uri=None, run_id="0" * 32, parent_run_id="0" * 32,
        checkpoints="/home/" + "0" * 64, process="host:1:0",
    )  # fmt: skip
    told = [events.TrialPhase(trial.name, phase) for phase in ("building", "training", "logging")]
    metrics = dict.fromkeys(run.data.metrics, 0.123456789)
    lines = [*told, *(_progress(trial.name, epoch) for epoch in range(_EPOCHS))]
    lines.append(Reply("FINISHED", metrics=metrics))
    return {
        "cache_bytes": _folder_size(cache_dir(os.environ) / "fashion-mnist"),
        "job_bytes": len(JOBS.write(job)),
        "told_bytes": sum(len(TRAINER_MESSAGES.write(line)) for line in lines),
        "model_bytes": model,
        "artifact_bytes": kept,
    }


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def show(known: Mapping[str, Any]) -> None:
    """Write the tables and the picture of the parts that were measured."""
    if part := known.get("trials"):
        header = ["trials", "seconds each", "processor seconds each", "to decide", "peak memory"]
        header += ["MLflow's database", "Prefect's database"]
        rows = [
            [
                f"{one['trials']:,}",
                f"{one['wall_s'] / one['trials']:.3f}",
                f"{one['cpu_s'] / one['trials']:.3f}",
                f"{one['decide_cpu_s']:.1f} s",
                f"{one['peak_mib']:,.0f} MiB",
                _size(one["mlflow_bytes"]),
                _size(one["prefect_bytes"]),
            ]
            for one in part["measured"]
        ]
        _write("scaling-trials", part, header, rows)
    if part := known.get("store"):
        answers = {(o["question"], o["variants"], o["store"]): o for o in part["measured"]}
        rows = []
        for question, variants in dict.fromkeys(key[:2] for key in answers):
            both = [answers[question, variants, kind] for kind in _STORES]
            row = [question, f"{variants:,}"]
            row += [f"{one['cpu_s']:.1f} s ({one['seconds']:.1f})" for one in both]
            row += [f"{both[0]['peak_mib']:,.0f} MiB", _size(both[0]["answer_bytes"])]
            rows.append(row)
        _write("scaling-store", part, [*_STORE_HEADER, "peak memory", "answer"], rows)
    if part := known.get("node"):
        rows = [[title, _size(part["measured"][key])] for key, title in _MOVED.items()]
        _write("scaling-node", part, ["what", "size"], rows)
    if {"trials", "store"} <= known.keys():
        PICTURE.write_bytes(_picture(known["trials"]["measured"], known["store"]["measured"]))


_STORES = ("SQLite", "PostgreSQL")
_STORE_HEADER = ["question", "trials", *(f"{kind}, processor (clock)" for kind in _STORES)]
_MOVED = {
    "cache_bytes": "images, once a node",
    "job_bytes": "one trial's job, to the trainer",
    "told_bytes": "what it tells the command, five epochs",
    "artifact_bytes": "its files in the store: predictions, plots, settings",
    "model_bytes": "its model in the store",
}


def _write(name: str, part: Mapping[str, Any], header: list[str], rows: list[list[str]]) -> None:
    write(name, in_words(part["machine"]), markdown(header, rows))


def _size(count: float) -> str:
    for unit, bytes_ in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_:
            return f"{count / bytes_:,.1f} {unit}"
    return f"{count:.0f} B"


def _picture(trials: list[dict[str, Any]], store: list[dict[str, Any]]) -> bytes:
    """Left what each trial takes, right how long each question takes; PNG."""
    import altair as alt
    import vl_convert

    each = [{"trials": one["trials"], "ms": 1000 * one["cpu_s"] / one["trials"]} for one in trials]
    left = (
        alt.Chart(alt.InlineData(each), width=300, height=240)
        .mark_line(point=True)
        .encode(
            alt.X("trials:Q")
            .title("trials of one sweep")
            .scale(type="log")
            .axis(values=list(_TRIALS)),
            alt.Y("ms:Q").title("processor time of the command per trial, ms").scale(zero=True),
        )
    )
    asked = [{**one, "what": f"{one['question']}, {one['variants']:,}"} for one in store]
    right = (
        alt.Chart(alt.InlineData(asked), width=300, height=240)
        .mark_bar()
        .encode(
            alt.Y("what:N").title(None).sort(None).axis(labelLimit=200),
            alt.X("cpu_s:Q").title("processor seconds, in a store of 10,000 runs"),
            alt.Color("store:N").title(None).legend(orient="top"),
            yOffset="store:N",
        )
    )
    chart = (left | right).resolve_scale(color="independent")
    chart = chart.configure_axis(labelFontSize=12, titleFontSize=12)
    return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))


if __name__ == "__main__":
    main()
