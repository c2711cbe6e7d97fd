"""The worker: one thread that loads a guard and judges for many callers, one window each in turn.

Reading order: limits, job (a caller's texts, and what they may cost), queue, worker (the thread).
The server and AsyncGuard use it; it knows neither of them.
"""
