"""What a trained network's parts respond to, and what their loss costs."""
