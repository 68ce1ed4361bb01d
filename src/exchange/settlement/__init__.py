"""The bridge to the chain: batches out of the journal, transactions in, observations back.

Learns everything from the journal and the chain, nothing from the engine. `batch` and `ledger` are
pure; `chain` is the only door to web3.
"""
