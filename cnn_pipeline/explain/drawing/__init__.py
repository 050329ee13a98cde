"""What the figures share: page, tiles, numbers in cells."""
