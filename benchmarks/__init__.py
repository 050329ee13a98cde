"""Measurements, never tests: see docs/performance.md."""
