"""Stands in for setuptools while fetch.py downloads sdists.

Before pip hands an sdist over it asks the sdist's build backend for metadata, which would otherwise
mean installing and running that project's build. Every sdist already carries the answer in its
PKG-INFO; see build_meta.py. It is on the path of fetch.py's pip only.
"""
