"""Jinja templates of this package."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(folder: str) -> Environment:
    """The templates in a folder of the package, as 'comparison/report/templates'.

    Values are escaped for HTML, and a name that is not given is an error.
    """
    return Environment(
        loader=PackageLoader("cnn_pipeline", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
