"""The comparison of a sweep: leaderboard, effects of settings, paired tests, verdict, page.

It takes records and arrays only, and imports no Keras, MLflow or Prefect.
"""
