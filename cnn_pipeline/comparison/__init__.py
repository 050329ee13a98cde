"""The comparison of a sweep: leaderboard, effects of settings, paired tests, verdict, page.

It sees records and arrays of answers only: no Keras, no MLflow, no Prefect.
"""
