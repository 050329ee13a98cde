"""Images: where they come from, what is verified, how they are split. It never scales pixels."""
