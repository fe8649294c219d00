"""The recording room: traces go to a journal on disk, questions come back as DataFrames.

`Recorder` is the sink for traces, `Journal` the file, `Analysis` the questions. The file's shape is in `schema.py`.
"""
