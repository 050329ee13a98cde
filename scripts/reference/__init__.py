"""Reference pages that are generated from the code: each function returns Markdown.

`docs/conf.py` inserts them while Sphinx builds the site, so they cannot be out of date.
"""

from scripts.reference.commands import commands_page
from scripts.reference.configuration import configuration_page
from scripts.reference.json_outputs import json_page
from scripts.reference.python_api import python_page

__all__ = ["commands_page", "configuration_page", "json_page", "python_page"]
