"""Benchmarks that compare granite with its peers on one machine in one run.

Owns the method (pinning, alternating rounds, ratios), the peers' command lines and the report. Must
not import granite: the server under test is a process like every other one in the table. Everything
runs on the main thread.
"""
