"""What this package costs, beside other ways and beside the limit. Each module is a command; `make bench-…` runs it."""
