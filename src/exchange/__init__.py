"""A hybrid options exchange: matched off chain, margined as portfolios, cleared on chain."""
