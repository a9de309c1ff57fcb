"""Data sets to train on: read from a folder, checked before anything is paid for, brought into channels.

The person's files are read and never written to. What is made of them lies in a new place.
"""
