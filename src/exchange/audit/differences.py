"""What an audit raises: the first thing that is not as it should be."""


class Difference(Exception):
    """The first thing that is not as it should be; `seq` says where."""

    def __init__(self, seq: int, text: str) -> None:
        super().__init__(f"seq {seq}: {text}")
        self.seq = seq
        self.text = text
