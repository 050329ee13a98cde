"""Serve the champion over HTTP with MLflow's scoring protocol."""
