"""What a person reads of a run: tables, traces, the HTML page, cards."""
