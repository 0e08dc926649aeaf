"""The suites, in the order in which they run and are reported."""

NAMES = ("h2spec", "autobahn", "testssl", "clients")
