"""Prefect's and MLflow's servers, the worker, and `doctor`."""
