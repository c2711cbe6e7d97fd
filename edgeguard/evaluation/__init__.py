"""Measures quality on labelled rows, and finds thresholds on them.

Reading order: rows, judging, records; intervals, metrics, summary; reported; wording, sections,
plots, page. Beside them: comparison, worker, models, comparison_page (several files) and threshold
(a policy from rows).

numpy, scikit-learn and matplotlib are loaded by the functions that use them, through `extra`.
"""
