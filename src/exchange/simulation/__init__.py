"""The whole exchange in one process on virtual time, from a seed (docs/simulation.md).

Real are the engine, sequencer, journal, clockwork, liquidator, index, relayer, watcher and
reconciliation; models are the clock, the store, the network, the prices and the chain. It may know
everything beneath it, and nothing in production knows it.
"""

from exchange.simulation.world import Outcome, SimulationFailed, simulate

__all__ = ["Outcome", "SimulationFailed", "simulate"]
