"""Judges whole files: the same rows come out with their verdicts, in order; runs can be resumed.

    rows.py       a row, and its place in the input
    encodings.py  any encoding as UTF-8
    source.py     the input's bytes, line by line, checked for changes
    unchanged.py  the error if the input has changed
    dialect.py, layout.py
                  how a CSV file writes its cells, and how that is detected
    jsonl.py, csv_.py, text.py, parquet.py (with parquet_parts.py and parquet_result.py)
                  the formats: how a row is read, and written with its verdict
    formats.py    which format a file has
    judging.py    rows to outcomes, repeated texts judged once
    record.py     what a run must remember to be resumed, on disk
    output.py     the file that grows beside the result
    inputs.py, several.py
                  many inputs: which they are, where their results go, which are finished
    job.py        the parts together: start, resume, finish
    tally.py      the counts of the summary

The guard judges; nothing here does.
"""
