"""The command line: each command parses, calls one function and prints."""

from cnn_pipeline.cli.app import main

__all__ = ["main"]
