"""The page of the Python API, generated from signatures and docstrings.

griffe reads the source, so nothing is imported.
"""

from __future__ import annotations

import re
from pathlib import Path

import griffe

from scripts.reference.markdown import code, table

ROOT = Path(__file__).resolve().parent.parent.parent

MODULES = (
    "settings.trial",
    "settings.sweep",
    "settings.named",
    "network.plan",
    "data.dataset",
    "data.describe",
    "network.build",
    "network.train",
    "network.evaluation",
    "experiment.run",
    "experiment.sweep_run",
    "experiment.stored",
    "network.results",
    "comparison.compare",
    "comparison.types",
    "comparison.table",
    "comparison.statistics",
    "comparison.render",
    "tracking.store",
    "tracking.reader",
    "tracking.writer",
    "champion.predict",
    "champion.registry",
    "champion.gate",
    "champion.requirements",
    "comparison.report",
    "explain.convolution.arithmetic",
    "base.home",
    "base.errors",
)
"""Modules that a user's program calls, in the order of a sweep."""


def python_page() -> str:
    """Return a section for each module of `MODULES` with its public classes and functions."""
    package = griffe.load(
        "cnn_pipeline",
        search_paths=[str(ROOT)],
        docstring_parser="google",
        resolve_aliases=True,
        resolve_external=False,
        allow_inspection=False,
    )
    return "\n\n".join(_module(package[name]) for name in MODULES)


def _module(module: griffe.Module) -> str:
    parts = [f"## {module.path}", *_text(module)]
    parts += [_member(member) for member in _public(module)]
    return "\n\n".join(parts)


def _public(module: griffe.Module) -> list[griffe.Object]:
    """Return the members that `__all__` names, or all defined there with a docstring."""
    if module.exports is not None:
        return [_target(module[str(name)]) for name in module.exports]
    return [
        member
        for name, member in module.members.items()
        if not isinstance(member, griffe.Alias) and not name.startswith("_") and member.docstring
    ]


def _target(member: griffe.Object | griffe.Alias) -> griffe.Object:
    return member.final_target if isinstance(member, griffe.Alias) else member


def _member(member: griffe.Object) -> str:
    if isinstance(member, griffe.Class):
        return _class(member)
    if isinstance(member, griffe.Function):
        return "\n\n".join([f"### {member.name}", _signature(member), *_text(member)])
    return "\n\n".join([f"### {member.name}", *_text(member)])


def _class(cls: griffe.Class) -> str:
    parts = [f"### {cls.name}"]
    public = {n: m for n, m in cls.members.items() if not n.startswith("_") and not m.is_alias}
    constructor = cls.members.get("__init__")
    if isinstance(constructor, griffe.Function):
        parts.append(_signature(constructor, f"class {cls.name}"))
    else:
        bases = ", ".join(map(str, cls.bases))
        parts.append(_block(f"class {cls.name}({bases})" if bases else f"class {cls.name}"))
    parts += _text(cls)
    fields = [
        (code(name), code(str(m.annotation or "")), _line(m))
        for name, m in public.items()
        if isinstance(m, griffe.Attribute) and (m.docstring or m.annotation)
    ]
    if fields:
        parts.append(table(("attribute", "type", "meaning"), fields))
    for name, method in public.items():
        if isinstance(method, griffe.Function):
            parts += [f"#### {cls.name}.{name}", _signature(method), *_text(method)]
    return "\n\n".join(parts)


def _signature(function: griffe.Function, name: str = "") -> str:
    """Return the call with its types, one argument per line if it is long."""
    arguments, seen_star = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not seen_star:
            arguments.append("*")
            seen_star = True
        stars = {"variadic positional": "*", "variadic keyword": "**"}
        kind = parameter.kind.value if parameter.kind else ""
        text = stars.get(kind, "") + parameter.name
        seen_star = seen_star or kind == "variadic positional"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and kind not in stars:
            text += f" = {parameter.default}"
        arguments.append(text)
    returns = f" -> {function.returns}" if function.returns and not name else ""
    name = name or function.name
    flat = f"{name}({', '.join(arguments)}){returns}"
    if len(flat) <= 88:
        return _block(flat)
    listed = "".join(f"    {argument},\n" for argument in arguments)
    return _block(f"{name}(\n{listed}){returns}")


def _block(text: str) -> str:
    return f"```python\n{text}\n```"


def _line(member: griffe.Object) -> str:
    return " ".join(member.docstring.value.split()) if member.docstring else ""


def _text(member: griffe.Object) -> list[str]:
    """Return the sections of a docstring in their order."""
    if member.docstring is None:
        return []
    parts: list[str] = []
    for section in member.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionText):
            parts.append(section.value)
        elif isinstance(section, griffe.DocstringSectionParameters):
            rows = [(code(item.name), _joined(item.description)) for item in section.value]
            parts.append(table(("argument", "meaning"), rows))
        elif isinstance(section, griffe.DocstringSectionRaises):
            parts.append("Raises:")
            parts.append(
                "\n".join(
                    f"- {code(str(item.annotation))}: {_joined(item.description)}"
                    for item in section.value
                )
            )
        elif isinstance(section, griffe.DocstringSectionReturns):
            text = " ".join(_joined(item.description) for item in section.value)
            parts.append(f"Returns: {text}")
    return parts


def _joined(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
