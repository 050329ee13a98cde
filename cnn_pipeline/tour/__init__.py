"""A guided tour: from a run's name, or an image alone, to pictures and sentences about them.

Nothing is imported here: a wrong word on the command line is told before MLflow and Keras load.
"""
