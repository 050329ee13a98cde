"""Search ranges of settings instead of training a grid, then compare the best with fresh seeds."""
