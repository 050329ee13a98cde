"""The flows that Prefect runs.

Whatever starts one imports this package first: a command, a worker, Python. So the interval of its
heartbeats is set here, and not in the environment of each of them.
"""

from cnn_pipeline.services.automations import send_heartbeats

send_heartbeats()
