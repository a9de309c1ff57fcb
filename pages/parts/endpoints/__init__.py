"""The list of endpoints and the page of one: how they do, what they cost, and every change to them."""
