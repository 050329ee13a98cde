"""Sweeps of small convolutional networks: trained, tracked, compared with a verdict."""

__version__ = "0.1.0"
