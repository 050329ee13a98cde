"""Fetch the bytes of a catalog and verify them."""
