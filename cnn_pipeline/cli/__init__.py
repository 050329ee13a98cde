"""The command line: thin shells that parse, call one verb and print."""

from cnn_pipeline.cli.app import main

__all__ = ["main"]
