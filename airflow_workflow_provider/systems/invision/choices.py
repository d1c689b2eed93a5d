"""What arguments for InVision may be."""

WORKFLOW_APIS = ("dataflow", "flow")
