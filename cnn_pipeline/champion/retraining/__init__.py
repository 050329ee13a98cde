"""Retraining: what changed, which candidate is best, and whether it may replace the champion."""
