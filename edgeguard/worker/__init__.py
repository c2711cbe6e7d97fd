"""The worker: one thread that loads a guard and judges for many callers, a window each in turn.

Reading order: limits, job (what one caller asked for, and what it may cost), queue (who waits),
worker (the thread). The server and AsyncGuard run on it; it knows neither of them.
"""
