"""Programs that anybody runs beside the exchange: they liquidate, settle, realise, hedge.

Each knows only the public wire and a node, through `sdk` and JSON-RPC; none knows the inside. What
they may do they may do as anybody: with a wallet that pays gas, and for orders a session key.
"""
