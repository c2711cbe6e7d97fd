"""The judge: a table of an engine in, the same table with a verdict for each row out.

It is what `edgeguard batch` does to a file: the same fields are read, the same columns are added,
and a row that cannot be judged says why. What concerns all rows ends the job: a model that is
absent or broken, a column that is not there. This module holds no logic of moderation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from edgeguard.arguments import N_CTX
from edgeguard.batch.parquet_result import added
from edgeguard.batch.rows import already, no_field
from edgeguard.conversation.forms import AUTO
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.rows import VERDICT, Names, columns_of, conversation_of, has_field
from edgeguard.conversation.value import Conversation
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.extras import require
from edgeguard.scale.guards import Options, guard_of
from edgeguard.scale.tables import Fields, Table, table_of
from edgeguard.session.settings import Threads
from edgeguard.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

_ARGUMENT = "{}_field="


class Judge:
    """Judges the rows of tables, in any process that it is sent to.

    It holds options alone, and can be pickled. The model is loaded when the first rows come, once a
    process, and stays there: judges with the same options share it. Call it with a mapping of numpy
    arrays, a pandas data frame, or an Arrow table or record batch.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        policy: str = "strict",
        threads: Threads = None,
        n_ctx: int = N_CTX,
        device: str = "auto",
        allow_random_weights: bool = False,
        mapped_weights: bool = True,
        category_probabilities: bool = False,
        cache: str | os.PathLike[str] | None = None,
        text_field: str | None = None,
        response_field: str | None = None,
        messages_field: str | None = None,
        messages_format: str = AUTO,
        verdict_field: str = VERDICT,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        exact: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Say how rows are read and judged; nothing is loaded.

        model, policy, n_ctx, device, allow_random_weights, category_probabilities, cache: as of a
        Guard. Files among them must be on each machine.
        threads: CPU threads; None takes the processors that the engine gave to the task, and 1
        where it does not say.
        mapped_weights: leave the weights in the file's pages, which the processes of a machine
        share; False rearranges a copy in each, which computes faster on some processors.
        text_field, response_field, messages_field, messages_format, verdict_field: as the options
        of `edgeguard batch`.
        strict_messages, tool_calls, skip_media: as of ``Guard.check_messages``.
        exact: the same bits for a text whatever else is in its partition. False: short texts share
        passes, and late digits differ.
        timeout: seconds for each row.
        Raises InputError: the options contradict each other.
        """
        self._options = Options(
            None if model is None else os.fspath(model),
            policy,
            threads,
            n_ctx,
            device,
            allow_random_weights,
            mapped_weights,
            category_probabilities,
            None if cache is None else os.fspath(cache),
        )
        self._names = Names.given(
            text_field, response_field, messages_field, messages_format, verdict_field, _ARGUMENT
        )
        self._reading = Reading(strict_messages, tool_calls, skip_media, messages_format)
        self._exact = exact
        self._timeout = timeout

    def __call__(self, batch: Any) -> Any:
        """The batch in its own form, with the columns ``verdict`` and ``verdict_error`` added.

        A mapping comes back as an Arrow table, which Ray Data takes as well.
        A row that cannot be judged has no verdict, and the reason in the other column. Raises
        InputError where the whole batch is wrong, and what Guard and ``check_many`` raise where the
        model cannot be had or is broken: a job then ends, and no verdict is missing in silence.
        """
        table = table_of(batch)
        if not table.columns and not table.size:
            return batch  # a partition of Ray's with nothing in it, not even columns
        fields = self.fields
        names = self._names_in(table)
        rows = table.rows(columns_of(names.read, table.columns))
        verdicts, errors = self._judged(rows, names) if table.size else ([], [])
        return table.with_columns(fields, [verdicts, errors])

    def batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same for one batch after the other, as Spark's mapInPandas and mapInArrow want it."""
        for batch in batches:
            yield self(batch)

    def column(self, **columns: Any) -> Any:
        """Verdicts and errors of some columns as one struct array of Arrow, as Daft wants it.

        columns: Arrow arrays by the names that the rows' fields have, as ``text=…``.
        """
        require("parquet", "a table with verdicts")
        import pyarrow as pa

        table = self(pa.table(columns))
        names = [field.name for field in self.fields]
        judged = table.select(names).combine_chunks().to_batches()
        return judged[0].to_struct_array() if judged else pa.array([], self.column_type)

    @property
    def fields(self) -> list[pa.Field]:
        """The columns that are added, with their Arrow types."""
        require("parquet", "a table with verdicts")
        import pyarrow

        return added(pyarrow, self._names)

    @property
    def column_type(self) -> pa.DataType:
        """The Arrow type of what ``column`` gives."""
        fields = self.fields
        import pyarrow

        return pyarrow.struct(fields)

    def spark_schema(self, schema: Any) -> Any:
        """The schema of a Spark data frame with the added columns, for mapInPandas, mapInArrow."""
        fields = self.fields
        import pyarrow
        from pyspark.sql.pandas.types import from_arrow_schema
        from pyspark.sql.types import StructType

        return StructType([*schema.fields, *from_arrow_schema(pyarrow.schema(fields)).fields])

    def _names_in(self, table: Table) -> Names:
        """What is read of this table. Raises InputError where it cannot be."""
        names = self._names.in_fields(table.columns)
        if not all(has_field(table.columns, name) for name in names.needed):
            raise no_field("the table", names, table.columns, _ARGUMENT)
        for name in names.added:
            if name in table.columns:
                raise InputError(already(name, _ARGUMENT))
        for name in names.texts:
            if name in table.columns:
                table.check_texts(name)
        return names

    def _judged(
        self, rows: Iterable[Fields], names: Names
    ) -> tuple[list[dict[str, object] | None], list[str | None]]:
        """The verdict of each row or None, and its error or None."""
        guard = guard_of(self._options)
        read = [self._read(row, names) for row in rows]
        results = guard.check_many(
            [one for one in read if not isinstance(one, InputError)],
            exact=self._exact,
            timeout=self._timeout,
        )
        outcomes = [one if isinstance(one, InputError) else next(results) for one in read]
        return [_verdict(one) for one in outcomes], [_error(one) for one in outcomes]

    def _read(self, row: Fields, names: Names) -> Conversation | InputError:
        if row is None:
            return InputError("a text is not UTF-8")
        try:
            return conversation_of(row, names, self._reading)
        except InputError as error:
            return error


def _verdict(outcome: Verdict | EdgeguardError) -> dict[str, object] | None:
    if not isinstance(outcome, Verdict):
        return None
    plain = outcome.to_dict()
    del plain["seconds"], plain["cached"]  # the same rows give the same values in every run
    return plain


def _error(outcome: Verdict | EdgeguardError) -> str | None:
    return None if isinstance(outcome, Verdict) else str(outcome)
