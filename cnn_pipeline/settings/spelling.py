"""One spelling of a setting's value, for flags, names, MLflow's params and tables."""

from __future__ import annotations


def spell(value: object) -> str:
    """'64', '0.001', 'max', 'true', 'none'; '32-64' for one number per layer, '64' if all equal.

    Text from MLflow is spelled as the value that it was written from.
    """
    if isinstance(value, tuple | list):
        layers = list(map(spell, value))
        return layers[0] if len(set(layers)) == 1 else "-".join(layers)
    text = str(value)
    return text.lower() if text in ("True", "False", "None") else text
