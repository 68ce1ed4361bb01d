"""History: what happened to subaccounts, in SQL, for questions older than a gateway's memory.

A read model: every row comes from released journal entries and may be built anew from them, so the
file may be deleted at any time. Nothing decides by it.
"""
