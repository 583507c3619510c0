"""Pages: what the store holds, for people. Reads only; sends nothing to a CRM."""
