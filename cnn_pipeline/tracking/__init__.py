"""MLflow: writes runs and reads them back."""
