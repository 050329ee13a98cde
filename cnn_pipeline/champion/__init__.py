"""Models after the sweep: register, compare with the champion, promote, serve, retrain."""
