"""Training datasets: read from a folder, validated before training is paid for, converted into channels.

The user's files are only read. Everything made from them is written to a new folder.
"""
