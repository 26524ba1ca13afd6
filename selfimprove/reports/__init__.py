"""Reports of a run for people: tables, traces, the HTML page, cards."""
