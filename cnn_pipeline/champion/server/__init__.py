"""The champion over HTTP, in MLflow's scoring protocol."""
