"""granite: a Python application server with a C core.

Owns the version and nothing else: importing the package loads neither asyncio nor the C core,
because the arbiter process imports it too. `granite.testing` holds what a test suite needs.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
