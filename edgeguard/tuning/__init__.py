"""Finding out how llama.cpp runs best on this machine, and remembering it.

Reading order: record, measure.
"""
