"""Ingress: how commands of other processes reach the sequencer, and how they hear of its commits.

A gateway process follows the journal with a replica of the engine and sends commands through a
stream; the process that leads takes them from there. The stream is a loudspeaker in both
directions: all that counts stands in the journal. Knows nothing of the wire.
"""
