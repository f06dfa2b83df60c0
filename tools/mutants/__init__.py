"""Changes the code on purpose, one place at a time, and lists the changes that no test notices.

No tool of others fits: those for Python leave SQL alone, run all tests for every change or change the files in place.
"""
