"""A sweep as one HTML file that needs no network: from the verdict to the single images.

It sees records only; `experiment.report_data` fills them from MLflow and the data.
"""

from cnn_pipeline.comparison.report.data import ReportData, TrialData
from cnn_pipeline.comparison.report.page import prepare, render_html

__all__ = ["ReportData", "TrialData", "prepare", "render_html"]
