"""A sweep as one HTML file that needs no network: from the verdict to the single images.

It sees records only; `experiment.report_data` fills them from MLflow and the data.
"""
