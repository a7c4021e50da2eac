class StoreError(Exception):
    """A store, or a table beside it, cannot be read: a sentence with its name."""
