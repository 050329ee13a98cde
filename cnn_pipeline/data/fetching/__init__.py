"""Fetch the files of a catalog and verify them."""
