"""MLflow: the only wing that writes runs, and the one that reads them back."""
