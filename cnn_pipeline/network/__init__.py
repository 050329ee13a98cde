"""One network: planned, built, trained, scored, timed."""
