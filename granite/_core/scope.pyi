class ScopeCache:
    """Interned strings, header fields and paths of one reactor."""
