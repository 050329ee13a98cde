"""What the user asks for: trials and sweeps, checked when they are built."""
