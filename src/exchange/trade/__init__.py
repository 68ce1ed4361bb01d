"""A trader's command line: what is asked of the venue, and how a terminal shows it.

Clients of the wire through the SDK, as anybody's; questions and their tables are apart, so that
`--json` prints the very figures that a table shows.
"""
