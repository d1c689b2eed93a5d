"""The synchronous side of the SQL API: run and answer at once, within its limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from . import rows
from .catalog import Connection
from .dialect import Call, Parameters, Statement, understood
from .errors import ApiError, SqlError
from .procedures import cached, execute, invocation
from .settings import CartoSettings
from .tokens import Token, permit
from .warehouse import Warehouse


@dataclass
class Queries:
    """Queries against a warehouse; errors leave as :class:`ApiError`."""

    settings: CartoSettings
    warehouse: Warehouse

    async def result(self, query: str, connection: Connection, parameters: Parameters, token: Token) -> bytes:
        """The body of a query's answer, within the limits of a synchronous query."""
        meta: dict[str, Any] = {"cacheHit": False, "location": connection.location}
        try:
            statement = understood(query, connection, parameters, shuffled=not self.settings.stable_order)
            permit(token, connection.name, statement)
            async with asyncio.timeout(self.settings.sync_seconds):
                if isinstance(statement, Call):
                    found = await self.called(statement, connection, meta)
                else:
                    found = await self.read(statement, connection)
        except TimeoutError as error:
            # inferred: the limit of one minute is documented, code and text of its answer are not.
            raise ApiError(self.settings.sync_timeout_status, "Query timeout") from error
        except SqlError as error:
            raise ApiError(400, error.message) from error
        return found.answer(meta | {"totalBytesProcessed": str(len(found.rows))})

    async def called(self, call: Call, connection: Connection, meta: dict[str, Any]) -> rows.Result:
        """Run a workflow at once; only one in sync mode answers rows, each says where its output is."""
        run = invocation(call, connection, self.settings)
        meta["providerId"] = connection.provider_id
        meta["cacheHit"] = await cached(run, self.warehouse, self.settings)
        if not meta["cacheHit"]:
            await execute(run, self.warehouse)
        if run.table:
            meta["workflowOutputTableName"] = run.table
        if run.table and run.workflow.mode == "sync":
            return await self.warehouse.read_table(run.table, self.settings.row_cap, self.settings.time_style)
        return rows.EMPTY

    async def read(self, statement: Statement, connection: Connection) -> rows.Result:
        """Run any other statement; more rows than the cap are cut, or an error (which of both is inferred)."""
        cap = self.settings.row_cap
        limit = cap + 1 if self.settings.row_cap_error else cap
        found = await self.warehouse.read(statement, connection, limit, self.settings.time_style)
        if found.count > cap:
            raise ApiError(400, f"Results are capped at {cap:,} rows")
        return found
