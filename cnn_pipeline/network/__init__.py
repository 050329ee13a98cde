"""One network: plan, build, train, evaluate and time it."""
