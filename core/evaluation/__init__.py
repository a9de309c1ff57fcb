"""Evaluation of endpoints on labeled images: pairs, predictions, scores and reports.

pairs        which image belongs to which ground truth mask
store        cached predictions and counts, in a folder
run          invokes the endpoints, counts, and resumes where it was interrupted
results      the scores of a dataset, of one endpoint or of two
samples      the worst images, for the viewer and the report
report       CSV and JSON
html_report  the HTML report
files        writes the reports
"""
