"""Prefect's server, MLflow's server and a worker on this machine: started, watched, stopped."""
