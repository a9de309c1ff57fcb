"""Masks against truth: what photos belong to what truth, asking for what is missing, the verdict, and its report.

pairs     which photo belongs to which truth
store     what was answered before, in a folder
run       asks, counts, and goes on where it was left
verdict   the numbers of a set, of one endpoint or of two
report    CSV, JSON and a page with pictures
"""
