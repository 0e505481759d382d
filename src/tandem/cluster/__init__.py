"""One stage, one machine or many: a pure function from a batch to rows, here or on the nodes of a Ray cluster."""
