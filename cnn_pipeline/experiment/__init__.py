"""A sweep from its settings to its verdict, without Prefect."""
