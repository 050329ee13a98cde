"""Trainers: start the processes that train, send them jobs, replace them when they die."""
