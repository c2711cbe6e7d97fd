"""What `edgeguard doctor` finds out: what is installed, what llama.cpp uses, and what is wrong.

Reading order: problems, environment, native, fit, report. Nothing here needs llama_cpp, numpy or
huggingface_hub to be importable: a diagnosis is asked for where they are not.
"""
