"""The arbiter: the parent process, which owns sockets and signals and keeps the workers running.

Pure Python, without threads; never imports the application, asyncio or the C core. What it imports
is also inherited by every worker, and counts twice in the memory of the process tree: hence the C
modules `_socket` and `_signal` instead of `socket` and `signal`, whose enums cost 1.1 MiB.
"""
