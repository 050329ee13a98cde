"""The report of a sweep: one HTML file that works offline, from the verdict to single images.

It takes plain records, which `experiment.report_data` reads from MLflow and the data.
"""
