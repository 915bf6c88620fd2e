"""What can go wrong, in words that say what to do."""


class PostgresFailed(Exception):
    """The embedded PostgreSQL cannot be used. The message is for the operator."""
