"""The Python half of the interfaces: loading the target, and what runs once per worker rather than
per request.
"""
