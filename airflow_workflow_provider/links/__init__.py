"""Links on a task's page: to the run on its system, and to what it has left."""
