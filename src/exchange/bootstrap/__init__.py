"""The only place that chooses real parts: stores, chain, sources, listeners, keys."""
