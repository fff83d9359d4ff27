"""Search for smaller objects: objective, strategies, minimisation, budget, store."""
