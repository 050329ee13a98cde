"""What all figures share: pages, tiles and grids of numbers."""
