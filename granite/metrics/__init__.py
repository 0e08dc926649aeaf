"""What the workers count, put together by the arbiter and served to whoever asks.

Imported only where the settings turn metrics on, so it is as frugal as the arbiter itself: what is
imported here is inherited by every worker. The commands that show the metrics are in
`granite.cli`.
"""
