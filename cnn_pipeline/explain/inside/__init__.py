"""What the parts of a trained network respond to, and what they contribute."""
