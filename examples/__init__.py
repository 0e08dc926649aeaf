"""Applications to try granite with; see README.md."""
