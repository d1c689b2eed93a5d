"""What arguments for Team Studio may be."""

RUN_MODES = ("engine", "job", "workfile")
