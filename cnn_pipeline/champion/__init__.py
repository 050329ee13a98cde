"""A model after the sweep: registered, gated, promoted, served, retrained."""
