"""The bridge to the chain: batches out of the journal, transactions in, observations back.

Learns everything from the journal and the chain, nothing from the engine. `batch`, `holdings` and
`delivery` are pure; `chain` is the only door to web3.
"""
