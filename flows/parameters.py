"""The flows' parameters: what Prefect's form shows, and the settings that follow from it.

Prefect's form draws every field of a nested model. So the few settings that people change are
parameters of their own, and the others are JSON in one parameter, `advanced`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from prefect.context import FlowRunContext
from pydantic import Field, PlainValidator, WithJsonSchema

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.settings.chosen import chosen, with_chosen
from cnn_pipeline.settings.engine import Engine, split_engine
from cnn_pipeline.settings.faults import Fault, dotted, find_faults, split_fields
from cnn_pipeline.settings.named import NAMED, resolve
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import AUTO, ONLY_AUTO, Sweep
from cnn_pipeline.settings.trial import DataSettings, FilterCount, Pooling, Seed

Json = dict[str, Any]
_CHOSEN = ("variant", "training")
"""The parts of a sweep whose other settings may be changed to fit the data."""


def read_sweep(value: object) -> Sweep:
    """A sweep from a parameter: the name of one, its fields, or a sweep.

    Raises:
        ValueError: it is none of these, or its fields have faults; each is listed with its path.
    """
    if isinstance(value, Sweep):
        return value
    if isinstance(value, str):
        if value not in NAMED:
            raise ValueError(f"must be one of {', '.join(NAMED)}, received {value!r}")
        return resolve(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"must be the name of a sweep or its fields, received {value!r}")
    sweep, faults = find_faults(Sweep, dict(value), refers=("baseline",))
    if sweep is None or faults:
        raise ValueError("; ".join(fault.text(dotted) for fault in faults))
    return sweep


SweepChoice = Annotated[
    Sweep | str,
    PlainValidator(read_sweep),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": [*NAMED], "title": "by name"},
                {"type": "object", "title": "as JSON"},
            ]
        }
    ),
]
Workers = Annotated[int, Field(ge=0, le=64)]
Decide = Annotated[float, Field(ge=0, le=20)]
Epochs = Annotated[int, Field(ge=0, le=10_000)]


def run_name() -> str:
    """Name of the flow run: the sweep's."""
    context = FlowRunContext.get()
    assert context is not None and context.parameters is not None
    return read_sweep(context.parameters["sweep"]).name


def sweep_from(
    sweep: Sweep | str,
    filters: Sequence[FilterCount],
    pooling: Sequence[Pooling],
    seeds: Sequence[Seed],
    epochs: int,
    data: str,
    advanced: Mapping[str, Any],
    decide: float = 0.0,
) -> Sweep:
    """The sweep that a flow's parameters describe. Empty ones and 0 leave the sweep as it is.

    Args:
        sweep: the sweep to start from.
        filters: values of the axis `filters`.
        pooling: values of the axis `pooling`.
        seeds: seeds.
        epochs: epochs of each training.
        data: source of the images.
        advanced: any other fields of a sweep, nested as in its TOML file.
        decide: points of accuracy that matter, where the seeds are 'auto'.

    Raises:
        InvalidInput: lists every fault with its path.
    """
    base = read_sweep(sweep)
    axes = {"filters": list(filters), "pooling": list(pooling)}
    axes = {name: values for name, values in axes.items() if values}
    form = {
        **({"axes": axes} if axes else {}),
        **({"seeds": list(seeds)} if seeds else {}),
        **({"decide": decide} if decide else {}),
        **({"training": {"epochs": epochs}} if epochs else {}),
        **({"data": {"source": data}} if data else {}),
    }
    if not form and not advanced:
        return base
    faults: list[Fault] = []
    if axes and base.entries:
        reason = f"sweep {base.name!r} lists its variants one by one; leave it empty"
        faults += [Fault((name,), reason) for name in axes]
        form.pop("axes")
    document = base.model_dump()
    if {**advanced, **form}.get("seeds", AUTO) != AUTO:
        document = {name: value for name, value in document.items() if name not in ONLY_AUTO}
    document = merged(merged(document, advanced), form)
    if axes or "axes" in advanced:
        document["baseline"] = None  # the variant may be gone
    changed, found = find_faults(Sweep, document, refers=("baseline",))
    faults += found
    if changed is None or faults:
        raise InvalidInput([fault.text(dotted) for fault in faults])
    tables: tuple[Mapping[str, Any], ...] = (form, advanced)
    given = {name for table in tables for part in _CHOSEN for name in table.get(part, {})}
    return with_chosen(changed, chosen(base) | given)


def data_settings_from(data: str, advanced: Mapping[str, Any]) -> DataSettings:
    """The data that the parameters of `watch-data` describe.

    Args:
        data: source of the images.
        advanced: other fields of `DataSettings`.

    Raises:
        InvalidInput: lists every fault with its path.
    """
    document = {name: value for name, value in advanced.items() if name != "source"}
    settings, faults = find_faults(DataSettings, {"source": data, **document})
    found = [
        Fault(("data",) if fault.path == ("source",) else ("advanced", *fault.path), fault.message)
        for fault in faults
    ]
    if "source" in advanced:
        found.insert(0, Fault(("advanced", "source"), "is the parameter 'data'"))
    if settings is None or found:
        raise InvalidInput([fault.text(dotted) for fault in found])
    return settings


def retrain_settings_from(
    sweep: Sweep, notify: NotifySettings, advanced: Mapping[str, Any]
) -> RetrainSettings:
    """The settings that the parameters of `retrain` describe.

    Args:
        sweep: the candidates.
        notify: whom to notify, and of what.
        advanced: other fields of `RetrainSettings`, nested as in its TOML file.

    Raises:
        InvalidInput: lists every fault with its path.
    """
    taken = [name for name in ("sweep", "notify") if name in advanced]
    document = {name: value for name, value in advanced.items() if name not in taken}
    settings, faults = find_faults(RetrainSettings, document)
    faults = (
        *(Fault(("advanced", name), "is set by a parameter of its own") for name in taken),
        *faults,
    )
    if settings is None or faults:
        raise InvalidInput([fault.text(dotted) for fault in faults])
    return settings.model_copy(update={"sweep": sweep, "notify": notify})


def resuming_from(advanced: Mapping[str, Any]) -> tuple[Resuming, dict[str, Any]]:
    """How what was stopped goes on, as `advanced` says; and the rest of `advanced`.

    Raises:
        InvalidInput: lists every fault with its path.
    """
    own, rest = split_fields(Resuming, advanced)
    found, faults = find_faults(Resuming, own)
    if found is None or faults:
        raise InvalidInput([f"advanced.{fault.text(dotted)}" for fault in faults])
    return found, rest


def engine_from(advanced: Mapping[str, Any]) -> tuple[Engine, dict[str, Any]]:
    """Where trainers run, as `advanced` says; and the rest of `advanced`.

    Raises:
        InvalidInput: lists every fault with its path.
    """
    engine, rest, faults = split_engine(advanced)
    if faults:
        raise InvalidInput([f"advanced.{fault.text(dotted)}" for fault in faults])
    return engine, rest


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; tables are merged key by key, other values are replaced."""
    both = dict(base)
    for key, value in changes.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        both[key] = value
    return both
