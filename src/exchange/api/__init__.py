"""The gateway: Deribit's conventions plus a signature, over WebSocket and HTTP.

It translates, authenticates and fans out; it decides nothing about orders or margin.
"""
