"""A sweep as one HTML file that needs no network: from the verdict to the single images.

It sees records only: who fills them reads MLflow and the data (`cnn_pipeline.reporting`).
"""

from cnn_pipeline.report.page import prepare, render_html
from cnn_pipeline.report.records import ReportData, TrialData

__all__ = ["ReportData", "TrialData", "prepare", "render_html"]
