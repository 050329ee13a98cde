"""The plots that every run keeps."""
