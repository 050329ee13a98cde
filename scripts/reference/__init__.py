"""The pages of the reference that are made from the code, each a function that returns Markdown.

`docs/conf.py` puts them into the documentation while it is built, so they cannot be out of date.
"""

from scripts.reference.commands import commands_page
from scripts.reference.configuration import configuration_page
from scripts.reference.python_api import python_page

__all__ = ["commands_page", "configuration_page", "python_page"]
