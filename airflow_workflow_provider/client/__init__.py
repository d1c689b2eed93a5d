"""The only network I/O: one driver of flows for workers (requests), one for the triggerer (aiohttp).

Nothing is imported here, so that a DAG file that reaches this package pays for neither library.
"""
